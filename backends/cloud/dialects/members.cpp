#include "backends/cloud/dialects/members.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <limits>
#include <utility>

namespace spillway::cloud {

namespace {

constexpr std::size_t kNowhere = std::string_view::npos;

void skip_space(std::string_view& text) {
  std::size_t count = 0;
  while (count < text.size() && (text[count] == ' ' || text[count] == '\n' || text[count] == '\t' ||
                                 text[count] == '\r')) {
    ++count;
  }
  text.remove_prefix(count);
}

bool take(std::string_view& text, char wanted) {
  skip_space(text);
  if (!text.starts_with(wanted)) return false;
  text.remove_prefix(1);
  return true;
}

// Bytes of the string literal that starts at `text[start]`, quotes included; kNowhere if unclosed.
std::size_t string_length(std::string_view text, std::size_t start) {
  std::size_t from = start + 1;
  while (true) {
    const std::size_t quote = text.find('"', from);
    if (quote == kNowhere) return kNowhere;
    std::size_t first_backslash = quote;
    while (text[first_backslash - 1] == '\\') --first_backslash;
    if ((quote - first_backslash) % 2 == 0) return quote + 1 - start;
    from = quote + 1;
  }
}

std::size_t nested_length(std::string_view text) {
  int depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') {
      const std::size_t length = string_length(text, at);
      if (length == kNowhere) return kNowhere;
      at += length - 1;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (--depth == 0) return at + 1;
    }
  }
  return kNowhere;
}

std::size_t value_length(std::string_view text) {
  if (text.empty()) return kNowhere;
  if (text.front() == '"') return string_length(text, 0);
  if (text.front() == '{' || text.front() == '[') return nested_length(text);
  const std::size_t end = text.find_first_of(",}] \t\r\n");
  return end == 0 ? kNowhere : end;
}

std::optional<std::string_view> take_value(std::string_view& text) {
  skip_space(text);
  const std::size_t length = value_length(text);
  if (length == kNowhere) return std::nullopt;
  const std::string_view value = text.substr(0, length);
  text.remove_prefix(length);
  return value;
}

}  // namespace

bool Member::is(std::string_view name) const {
  if (key.find('\\') == kNowhere) return key == name;
  return text_of_key(key) == name;
}

MemberReader::MemberReader(std::string_view object) : rest_(object) {
  if (!take(rest_, '{')) rest_ = {};
}

std::optional<Member> MemberReader::next() {
  if (complete_) return std::nullopt;
  if (take(rest_, '}')) {
    skip_space(rest_);
    complete_ = rest_.empty();
    rest_ = {};
    return std::nullopt;
  }
  if (!first_ && !take(rest_, ',')) return std::nullopt;
  first_ = false;
  skip_space(rest_);
  if (!rest_.starts_with('"')) return std::nullopt;
  const auto key = take_value(rest_);
  if (!key || !take(rest_, ':')) return std::nullopt;
  const auto value = take_value(rest_);
  if (!value) return std::nullopt;
  return Member{key->substr(1, key->size() - 2), *value};
}

Result<std::vector<Field>> fields_of(std::string_view object) {
  std::vector<Field> fields;
  MemberReader reader(object);
  while (const auto member = reader.next()) {
    std::string key = text_of_key(member->key);
    const auto known = std::find_if(fields.begin(), fields.end(),
                                    [&](const Field& field) { return field.key == key; });
    if (known == fields.end()) {
      fields.push_back({std::move(key), member->key, member->value});
    } else {
      known->value = member->value;
    }
  }
  if (reader.complete()) return fields;
  return Error{Errc::invalid_request, "the request body must be a JSON object", "", std::nullopt};
}

ElementReader::ElementReader(std::string_view list) : rest_(list) {
  if (!take(rest_, '[')) rest_ = {};
}

std::optional<std::string_view> ElementReader::next() {
  if (take(rest_, ']')) rest_ = {};
  if (!first_ && !take(rest_, ',')) return std::nullopt;
  first_ = false;
  return take_value(rest_);
}

std::string_view member_of(std::string_view object, std::string_view name) {
  std::string_view value;
  MemberReader reader(object);
  while (const auto one = reader.next()) {
    if (one->is(name)) value = one->value;
  }
  return value == "null" ? std::string_view() : value;
}

void append_member(const Member& member, std::string& members) {
  if (member.value == "null") return;
  members.append(members.empty() ? "\"" : ",\"").append(member.key);
  members.append("\":").append(member.value);
  // Between its tokens: an event is one line.
  const auto value = members.end() - static_cast<std::ptrdiff_t>(member.value.size());
  std::replace_if(value, members.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
}

int count_of(std::string_view token) {
  double value = 0.0;
  std::from_chars(token.data(), token.data() + token.size(), value);
  constexpr double kMost = std::numeric_limits<int>::max();
  return static_cast<int>(std::clamp(value, 0.0, kMost));
}

bool is_negative(std::string_view token) { return token.starts_with('-'); }

std::optional<std::string> text_of(std::string_view token) {
  if (!token.starts_with('"')) return std::nullopt;
  if (token.find('\\') == kNowhere) return std::string(token.substr(1, token.size() - 2));
  const auto parsed = nlohmann::json::parse(token, nullptr, false);
  return parsed.is_string() ? std::optional(parsed.get<std::string>()) : std::nullopt;
}

std::string text_in(std::string_view object, std::string_view name) {
  return text_of(member_of(object, name)).value_or("");
}

std::string text_of_key(std::string_view key) {
  if (key.find('\\') == kNowhere) return std::string(key);
  return text_of('"' + std::string(key) + '"').value_or("");
}

std::string quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace spillway::cloud
