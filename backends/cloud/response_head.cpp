#include "backends/cloud/response_head.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>

namespace spillway::cloud {

namespace {

using std::chrono::milliseconds;

constexpr double kRetryMsMax = 24.0 * 3'600.0 * 1'000.0;

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

std::optional<double> number(std::string_view text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<std::time_t> http_date(const std::string& text) {
  std::tm parts{};
  const char* end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return end != nullptr && *end == '\0' ? std::optional(timegm(&parts)) : std::nullopt;
}

milliseconds bounded(double ms) {
  return milliseconds(static_cast<std::int64_t>(std::ceil(std::clamp(ms, 0.0, kRetryMsMax))));
}

}  // namespace

bool ResponseHead::take(std::string_view line) {
  bytes_ += line.size();
  if (bytes_ > kBytesMax) return false;
  if (line.starts_with("HTTP/")) {
    begin(line);
    return true;
  }
  const std::size_t colon = line.find(':');
  if (colon != line.npos) note(line.substr(0, colon), trimmed(line.substr(colon + 1)));
  return true;
}

void ResponseHead::begin(std::string_view status_line) {
  const std::size_t bytes = bytes_;
  *this = ResponseHead();
  bytes_ = bytes;
  const std::size_t space = status_line.find(' ');
  if (space == status_line.npos) return;
  const std::string_view code = trimmed(status_line.substr(space)).substr(0, 3);
  std::from_chars(code.data(), code.data() + code.size(), status_);
}

void ResponseHead::note(std::string_view name, std::string_view value) {
  const std::string known = lower(name);
  if (known == "content-type") media_type_ = lower(trimmed(value.substr(0, value.find(';'))));
  if (known == "retry-after") retry_after_ = value;
  if (known == "retry-after-ms") retry_after_ms_ = value;
  if (known == "date") date_ = value;
  rates_.note(known, value);
}

std::optional<milliseconds> ResponseHead::retry_after() const {
  if (const auto ms = number(retry_after_ms_)) return bounded(*ms);
  if (const auto seconds = number(retry_after_)) return bounded(*seconds * 1'000.0);
  const auto then = http_date(retry_after_);
  const auto now = http_date(date_);
  if (!then || !now) return std::nullopt;
  return bounded(std::difftime(*then, *now) * 1'000.0);
}

RateLeft ResponseHead::rate_left() const {
  const auto date = http_date(date_);
  return rates_.left(date ? std::optional<std::int64_t>(*date) : std::nullopt);
}

}  // namespace spillway::cloud
