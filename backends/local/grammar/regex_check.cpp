#include "backends/local/grammar/regex_check.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace spillway::local::grammar {
namespace {

constexpr std::int64_t kFar = 1'000'000'000;

// The most that `{…}` at the start of `text` repeats, and its length; no length if it is none.
struct Braces {
  std::int64_t most = 1;
  std::size_t length = 0;
};

Braces braces_at(std::string_view text) {
  const std::size_t end = text.find('}');
  if (end == text.npos) return {};
  const std::string_view inside = text.substr(1, end - 1);
  if (inside.empty() || inside.find_first_not_of("0123456789, ") != inside.npos) return {};
  Braces braces{1, end + 1};
  for (std::size_t at = 0; at < inside.size(); ++at) {
    std::int64_t number = 0;
    const auto [rest, error] = std::from_chars(&inside[at], inside.data() + inside.size(), number);
    if (error == std::errc::invalid_argument) continue;
    braces.most = std::max(braces.most, error == std::errc() ? number : kFar);
    at = static_cast<std::size_t>(rest - inside.data());
  }
  return braces;
}

}  // namespace

Result<void> check_regex(std::string_view text) {
  // What the parts of each open group come to, the whole text below them.
  std::vector<std::int64_t> groups{0};
  std::int64_t last = 0;      // The part that a repetition would be of.
  std::int64_t repeated = 0;  // Of all that, what is there by repetition.
  const auto close = [&] {
    last = groups.back();
    groups.pop_back();
    groups.back() += last;
  };
  bool in_class = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\\') ++at;
    if (c == '{' && !in_class) {
      const Braces braces = braces_at(text.substr(at));
      if (braces.length > 0) {
        const std::int64_t more = last * std::max<std::int64_t>(braces.most - 1, 0);
        groups.back() += more;
        repeated += more;
        if (repeated > kRepeatsMax)
          return Error{Errc::invalid_request,
                       "repeats more than " + std::to_string(kRepeatsMax) +
                           " times in all: lower the numbers in its braces, or write * or +",
                       "", std::nullopt};
        at += braces.length - 1;
        continue;
      }
    }
    if (in_class) {
      in_class = c != ']';
    } else if (c == '(') {
      groups.push_back(0);
    } else if (c == ')' && groups.size() > 1) {
      close();
    } else {
      in_class = c == '[';
      last = 1;
      ++groups.back();
    }
  }
  return {};
}

}  // namespace spillway::local::grammar
