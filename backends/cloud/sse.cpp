#include "backends/cloud/sse.h"

#include <atomic>
#include <utility>

namespace spillway::cloud {

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kUsualBytesMax = 1 << 20;
constexpr int kLargeMax = 16;  // Events at once, of all streams.

std::atomic<int> large{0};

std::size_t line_length(std::string_view bytes) {
  std::size_t length = 0;
  while (length < bytes.size() && bytes[length] != '\n' && bytes[length] != '\r') ++length;
  return length;
}

}  // namespace

bool SseParser::feed(std::string_view bytes, const OnEvent& on_event) {
  while (!bytes.empty()) {
    if (after_cr_) {
      after_cr_ = false;
      if (bytes.front() == '\n') bytes.remove_prefix(1);
      continue;
    }
    const std::size_t length = line_length(bytes);
    if (line_.size() + length > kBytesMax || !may_hold(length)) return false;
    const std::string_view piece = bytes.substr(0, length);
    if (length == bytes.size()) {
      line_.append(piece);
      return true;
    }
    after_cr_ = bytes[length] == '\r';
    bytes.remove_prefix(length + 1);
    if (!line_.empty()) line_.append(piece);
    const bool go_on = end_line(line_.empty() ? piece : line_, on_event);
    line_.clear();
    if (line_.capacity() > kUsualBytesMax) line_.shrink_to_fit();
    if (!go_on) return false;
  }
  return true;
}

void SseParser::end(const OnEvent& on_event) {
  if (line_.empty() || end_line(std::exchange(line_, {}), on_event)) dispatch(on_event);
}

bool SseParser::end_line(std::string_view line, const OnEvent& on_event) {
  if (first_line_ && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  first_line_ = false;
  if (line.empty()) return dispatch(on_event);

  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == line.npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);

  if (field == "event") type_ = value;
  if (field != "data") return true;
  if (data_.size() + value.size() > kBytesMax || !may_hold(value.size())) return false;
  data_.append(value).push_back('\n');
  return true;
}

bool SseParser::dispatch(const OnEvent& on_event) {
  bool go_on = true;
  if (!data_.empty()) go_on = on_event(type_, std::string_view(data_).substr(0, data_.size() - 1));
  data_.clear();
  type_.clear();
  if (has_room_) data_.shrink_to_fit();
  give_back();
  return go_on;
}

bool SseParser::may_hold(std::size_t more) {
  if (has_room_ || line_.size() + data_.size() + more <= kUsualBytesMax) return true;
  has_room_ = large.fetch_add(1, std::memory_order_relaxed) < kLargeMax;
  if (!has_room_) large.fetch_sub(1, std::memory_order_relaxed);
  return has_room_;
}

void SseParser::give_back() {
  if (std::exchange(has_room_, false)) large.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace spillway::cloud
