#include "gateway/simulate/trace_formats_internal.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <zlib.h>

namespace spillway::simulate {

namespace {

constexpr std::size_t kBytesMax = std::size_t{1} << 30;
constexpr std::size_t kChunk = std::size_t{1} << 20;

struct Close {
  void operator()(gzFile file) const { gzclose_r(file); }
};
using OpenFile = std::unique_ptr<gzFile_s, Close>;

}  // namespace

Error trace_error(std::string message) {
  return {.code = Errc::invalid_request, .message = std::move(message)};
}

// zlib hands through what is not gzip.
Result<std::string> read_packed(const std::string& path) {
  errno = 0;
  const OpenFile file(gzopen(path.c_str(), "rb"));
  if (!file) {
    const std::string why = errno == 0 ? "out of memory" : std::strerror(errno);
    return trace_error(path + ": cannot be opened: " + why);
  }
  std::string text;
  while (true) {
    const std::size_t had = text.size();
    text.resize(had + kChunk);
    const int got = gzread(file.get(), text.data() + had, kChunk);
    text.resize(had + static_cast<std::size_t>(std::max(0, got)));
    int code = Z_OK;
    const char* why = gzerror(file.get(), &code);
    // A file cut short ends with Z_BUF_ERROR, after all that could be unpacked.
    if (got < 0 || (got == 0 && code != Z_OK && code != Z_STREAM_END)) {
      if (code == Z_ERRNO) why = std::strerror(errno);
      return trace_error(path + ": cannot be read to its end: " + why);
    }
    if (got == 0) return text;
    if (text.size() > kBytesMax) {
      return trace_error(path + ": is larger than 1 GiB unpacked: split it, or name fewer rows");
    }
  }
}

}  // namespace spillway::simulate
