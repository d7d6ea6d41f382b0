#include "gateway/responses/transcript.h"

#include "gateway/responses/events.h"
#include "gateway/wire/json_text.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace spillway::responses {
namespace {

// An event's number is its place, which is known.
std::string without_number(std::string_view event) {
  const auto mark = event.find(kNumberMark);
  if (mark == event.npos) return std::string(event);
  const auto from = mark + kNumberMark.size();
  std::string rest(event.substr(0, from));
  return rest.append(event.substr(event.find_first_not_of("0123456789", from)));
}

std::string with_number(const std::string& event, std::size_t number) {
  const auto mark = event.find(kNumberMark);
  if (mark == event.npos) return event;
  std::string whole = event;
  return whole.insert(mark + kNumberMark.size(), std::to_string(number));
}

// How many bytes two texts begin with alike.
std::size_t alike(std::string_view one, std::string_view other) {
  const auto most = std::min(one.size(), other.size());
  const auto end = std::mismatch(one.begin(), one.begin() + most, other.begin()).first;
  return static_cast<std::size_t>(end - one.begin());
}

std::size_t alike_at_the_end(std::string_view one, std::string_view other) {
  const auto most = static_cast<std::ptrdiff_t>(std::min(one.size(), other.size()));
  const auto end = std::mismatch(one.rbegin(), one.rbegin() + most, other.rbegin()).first;
  return static_cast<std::size_t>(end - one.rbegin());
}

std::optional<std::size_t> take_number(std::string_view& text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data() + text.size()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);  // And what ends it.
  return number;
}

}  // namespace

// Of each event: how much of the last one it begins and ends with, how long what stands between is,
// and that.
void Transcript::add(std::string_view event) {
  std::string now = without_number(event);
  const auto begin = alike(now, last_);
  const auto end =
      alike_at_the_end(std::string_view(now).substr(begin), std::string_view(last_).substr(begin));
  const auto between = now.size() - begin - end;
  for (const std::size_t number : {begin, end, between}) {
    wire::append_json_number(text_, static_cast<std::int64_t>(number));
    text_ += ' ';
  }
  text_.append(now, begin, between);
  last_ = std::move(now);
}

std::vector<std::string> events_in(std::string_view transcript) {
  std::vector<std::string> events;
  std::string last;
  while (!transcript.empty()) {
    const auto begin = take_number(transcript), end = take_number(transcript),
               between = take_number(transcript);
    const bool sound = begin && end && between && *between <= transcript.size() &&
                       *begin <= last.size() && *end <= last.size() - *begin;
    if (!sound) break;
    std::string now = last.substr(0, *begin);
    now.append(transcript.substr(0, *between)).append(last, last.size() - *end);
    transcript.remove_prefix(*between);
    last = std::move(now);
    events.push_back(with_number(last, events.size()));
  }
  return events;
}

}  // namespace spillway::responses
