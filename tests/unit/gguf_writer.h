// Writes small GGUF files for tests: metadata, and tensors of fp32 or bf16.
#pragma once

#include <bit>
#include <cstdint>
#include <fstream>
#include <random>
#include <string>
#include <vector>

namespace spillway::local {

class GgufWriter {
 public:
  void text(const std::string& key, const std::string& value) {
    begin_entry(key, 8);
    put_text(entries_, value);
  }
  void integer(const std::string& key, std::uint32_t value) {
    begin_entry(key, 4);
    put(entries_, value);
  }
  void number(const std::string& key, float value) {
    begin_entry(key, 6);
    put(entries_, value);
  }

  // `shape` is outermost first. Requires: as many values as the shape has places, and, for bf16,
  // such as it holds exactly.
  void tensor(const std::string& name, const std::vector<std::uint64_t>& shape,
              const std::vector<float>& values, bool bf16 = false) {
    put_text(tensors_, name);
    put(tensors_, static_cast<std::uint32_t>(shape.size()));
    for (auto size = shape.rbegin(); size != shape.rend(); ++size) put(tensors_, *size);
    put(tensors_, std::uint32_t{bf16 ? 30U : 0U});
    put(tensors_, static_cast<std::uint64_t>(data_.size()));
    for (const float value : values) {
      const auto bits = std::bit_cast<std::uint32_t>(value);
      bf16 ? put(data_, static_cast<std::uint16_t>(bits >> 16)) : put(data_, bits);
    }
    pad(data_);
    ++tensor_count_;
  }

  void write(const std::string& path) const {
    std::string head = "GGUF";
    put(head, std::uint32_t{3});
    put(head, tensor_count_);
    put(head, entry_count_);
    head += entries_ + tensors_;
    pad(head);
    std::ofstream(path, std::ios::binary) << head << data_;
  }

 private:
  template <class T>
  static void put(std::string& to, T value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static void put_text(std::string& to, const std::string& text) {
    put(to, static_cast<std::uint64_t>(text.size()));
    to += text;
  }
  static void pad(std::string& bytes) { bytes.resize((bytes.size() + 31) / 32 * 32); }

  void begin_entry(const std::string& key, std::uint32_t type) {
    put_text(entries_, key);
    put(entries_, type);
    ++entry_count_;
  }

  std::string entries_;
  std::string tensors_;
  std::string data_;
  std::uint64_t entry_count_ = 0;
  std::uint64_t tensor_count_ = 0;
};

// Values of a tensor: whole numbers that bf16 holds exactly.
inline std::vector<float> whole_numbers(const std::vector<std::uint64_t>& shape,
                                        std::mt19937& random) {
  std::uint64_t count = 1;
  for (const auto size : shape) count *= size;
  std::uniform_int_distribution<int> any(-128, 127);
  std::vector<float> values;
  for (std::uint64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(any(random)));
  return values;
}

}  // namespace spillway::local
