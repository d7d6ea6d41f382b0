#include "backends/cloud/written_bytes.h"

#include <algorithm>
#include <iterator>

namespace spillway::cloud {
namespace {

constexpr std::string_view kWritten[] = {"arguments", "content", "reasoning", "reasoning_content",
                                         "refusal",   "text",    "thinking",  "transcript"};
constexpr std::size_t kNameBytesMax = 32;

}  // namespace

void WrittenBytes::take(std::string_view json) {
  for (const char byte : json) {
    if (in_string_) {
      take_in_string(byte);
    } else if (byte == '"') {
      in_string_ = true;
      last_.clear();
    } else if (byte == ':') {
      counts_ = std::find(std::begin(kWritten), std::end(kWritten), last_) != std::end(kWritten);
    } else if (byte == ',' || byte == '[' || byte == '{') {
      counts_ = false;
    }
  }
}

void WrittenBytes::take_in_string(char byte) {
  const bool ends = byte == '"' && !escaped_;
  if (!ends && counts_) ++bytes_;
  if (!ends && !counts_ && last_.size() < kNameBytesMax) last_ += byte;
  escaped_ = byte == '\\' && !escaped_;
  in_string_ = !ends;
}

}  // namespace spillway::cloud
