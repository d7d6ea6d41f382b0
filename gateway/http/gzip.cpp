#include "gateway/http/gzip.h"

#include <algorithm>
#include <zlib.h>

namespace spillway::http {
namespace {

constexpr int kWindowOfGzip = 15 + 16;
constexpr int kMemoryLevel = 8;

// A deflater a thread: making one costs more than a small body.
class Deflater {
 public:
  Deflater() {
    good_ = deflateInit2(&stream_, Z_BEST_SPEED, Z_DEFLATED, kWindowOfGzip, kMemoryLevel,
                         Z_DEFAULT_STRATEGY) == Z_OK;
  }
  ~Deflater() {
    if (good_) deflateEnd(&stream_);
  }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  std::string run(std::string_view body) {
    if (!good_ || deflateReset(&stream_) != Z_OK) return {};
    std::string packed(deflateBound(&stream_, body.size()), '\0');
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
    stream_.avail_in = static_cast<uInt>(body.size());
    stream_.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream_.avail_out = static_cast<uInt>(packed.size());
    if (deflate(&stream_, Z_FINISH) != Z_STREAM_END) return {};
    packed.resize(stream_.total_out);
    return packed;
  }

 private:
  z_stream stream_{};
  bool good_ = false;
};

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

bool is_gzip(std::string_view coding) {
  constexpr std::string_view kName = "gzip";
  return std::equal(coding.begin(), coding.end(), kName.begin(), kName.end(),
                    [](char c, char lower) { return (c | 0x20) == lower; });
}

}  // namespace

bool takes_gzip(std::string_view accept_encoding) {
  while (!accept_encoding.empty()) {
    const auto comma = std::min(accept_encoding.find(','), accept_encoding.size());
    const std::string_view one = accept_encoding.substr(0, comma);
    const auto mark = std::min(one.find(';'), one.size());
    const std::string_view weight = trimmed(one.substr(mark));
    const bool refused = weight.starts_with(';') &&
                         weight.find_first_of("123456789", weight.find('=')) == weight.npos;
    if (is_gzip(trimmed(one.substr(0, mark)))) return !refused;
    accept_encoding.remove_prefix(std::min(comma + 1, accept_encoding.size()));
  }
  return false;
}

std::string gzipped(std::string_view body) {
  thread_local Deflater deflater;
  return deflater.run(body);
}

}  // namespace spillway::http
