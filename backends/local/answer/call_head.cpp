#include "backends/local/answer/call_head.h"

#include "backends/local/answer/held_text.h"

#include <nlohmann/json.hpp>

namespace spillway::local::answer {
namespace {

constexpr std::size_t kNameBytesMax = 256;

std::string text_of(std::string_view json) {
  const auto value = nlohmann::json::parse(json, nullptr, false);
  return value.is_string() ? value.get<std::string>() : std::string();
}

// What of an object with the name comes before it is known.
struct Members {
  std::string name;
  std::string arguments;
};

// Arguments that were not told as they came: JSON, perhaps in a text.
std::string arguments_of(std::string_view value) {
  if (value.empty() || value == "null") return "{}";
  return value.front() == '"' ? text_of(value) : std::string(value);
}

bool is_arguments(std::string_view key) { return key == "arguments" || key == "parameters"; }

std::optional<CallHead> read_object(Cursor& cursor) {
  Members members;
  if (!cursor.take("{")) return std::nullopt;
  while (cursor.next() == '"') {
    const std::string key = text_of(cursor.value());
    if (key.empty() || !cursor.take(":")) return std::nullopt;
    const char first = cursor.next();
    if (is_arguments(key) && !members.name.empty() && first == '{')
      return CallHead{std::move(members.name), cursor.at(), std::nullopt};
    const std::string_view value = cursor.value();
    if (value.empty()) return std::nullopt;
    if (key == "name") members.name = text_of(value);
    if (is_arguments(key)) members.arguments = arguments_of(value);
    if (members.name.size() > kNameBytesMax) return std::nullopt;
    if (cursor.next() == ',') cursor.take(",");
  }
  if (!cursor.take("}") || members.name.empty()) return std::nullopt;
  if (members.arguments.empty()) members.arguments = "{}";
  return CallHead{std::move(members.name), cursor.at(), std::move(members.arguments)};
}

std::optional<CallHead> read_named(const CallSyntax& syntax, Cursor& cursor) {
  if (!cursor.take(syntax.before_name)) return std::nullopt;
  const std::string_view name = cursor.name();
  if (name.empty() || name.size() > kNameBytesMax) return std::nullopt;
  if (syntax.short_ids && cursor.take(kCallIdMark) && cursor.name().empty()) return std::nullopt;
  if (cursor.cut() || !cursor.take(syntax.after_name) || cursor.next() != '{') return std::nullopt;
  return CallHead{std::string(name), cursor.at(), std::nullopt};
}

// What stands before the first call, or between two.
bool take_beginning(const CallSyntax& syntax, CallPlace place, Cursor& cursor) {
  if (place == CallPlace::unmarked) return true;
  if (place == CallPlace::following) {
    return cursor.next() != '\0' && (cursor.take(syntax.between) || !cursor.cut()) &&
           cursor.take(syntax.begin);
  }
  if (syntax.open.empty() && syntax.begin.empty()) return cursor.take(syntax.mark);
  return cursor.take(syntax.open) && cursor.take(syntax.begin);
}

}  // namespace

HeadFound find_head(const CallSyntax& syntax, CallPlace place, std::string_view text) {
  const bool is_long = text.size() >= kHeadBytesMax;
  Cursor cursor(text.substr(0, kHeadBytesMax));
  HeadFound found;
  if (take_beginning(syntax, place, cursor)) {
    found.head =
        syntax.body == CallSyntax::Body::object ? read_object(cursor) : read_named(syntax, cursor);
  }
  found.cut = !found.head && cursor.cut() && !is_long;
  return found;
}

}  // namespace spillway::local::answer
