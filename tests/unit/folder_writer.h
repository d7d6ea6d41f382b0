// Writes small Hugging Face folders for tests.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace spillway::loader {

using nlohmann::json;

// A safetensors file: its table as JSON, then the data.
inline std::string safetensors_file(const json& table, const std::string& data) {
  std::string text = table.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data;
}

class FolderWriter {
 public:
  explicit FolderWriter(const std::string& name)
      : path((std::filesystem::temp_directory_path() / (name + std::to_string(::getpid())))
                 .string()) {
    std::filesystem::create_directories(path);
  }
  ~FolderWriter() { std::filesystem::remove_all(path); }
  FolderWriter(const FolderWriter&) = delete;
  FolderWriter& operator=(const FolderWriter&) = delete;

  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path + "/" + name, std::ios::binary) << bytes;
  }
  void remove(const std::string& name) const { std::filesystem::remove(path + "/" + name); }

  // Adds to the tensors that write_tensors() writes.
  template <class Value>
  void tensor(const std::string& name, const char* type, const json& shape,
              const std::vector<Value>& values) {
    const auto begin = data.size();
    data.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value));
    table[name] = {{"dtype", type}, {"shape", shape}, {"data_offsets", {begin, data.size()}}};
  }
  // Floats from 0 on.
  void tensor(const std::string& name, const std::vector<std::int64_t>& shape) {
    std::size_t count = 1;
    for (const auto size : shape) count *= static_cast<std::size_t>(size);
    std::vector<float> values(count);
    std::iota(values.begin(), values.end(), 0.0F);
    tensor(name, "F32", shape, values);
  }
  void write_tensors(const std::string& name = "model.safetensors") const {
    write(name, safetensors_file(table, data));
  }

  const std::string path;
  json table = json::object();
  std::string data;
};

}  // namespace spillway::loader
