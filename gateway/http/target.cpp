#include "gateway/http/target.h"

#include <algorithm>
#include <cstddef>

namespace spillway::http {
namespace {

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

std::string_view without_authority(std::string_view target) {
  const auto scheme_end = target.find("://");
  if (!target.starts_with("http") || scheme_end == std::string_view::npos) return target;
  const auto path = target.find('/', scheme_end + 3);
  return path == std::string_view::npos ? "/" : target.substr(path);
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const auto high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (!high || !low) return std::nullopt;
      c = static_cast<char>(*high * 16 + *low);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == '\x7f') return std::nullopt;
    decoded.push_back(c);
  }
  return decoded;
}

std::optional<Target> parse_target(std::string_view target) {
  target = without_authority(target);
  if (target == "*") return Target{"*", ""};
  if (!target.starts_with('/')) return std::nullopt;
  const auto question = std::min(target.find('?'), target.size());
  auto path = percent_decode(target.substr(0, question));
  if (!path) return std::nullopt;
  const auto query = target.substr(std::min(question + 1, target.size()));
  return Target{std::move(*path), std::string(query)};
}

}  // namespace spillway::http
