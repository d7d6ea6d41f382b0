#include "backends/local/tokenizer/json_parts_internal.h"

#include <cstddef>
#include <cstdint>

namespace spillway::tokenizer {
namespace {

constexpr std::int64_t kIdsMax = 1 << 22;
constexpr std::size_t kShownMax = 64;

std::string in_quotes(std::string_view text) {
  return '"' + std::string(text.substr(0, kShownMax)) + '"';
}

}  // namespace

Error wrong(const std::string& what) { return Error{Errc::internal, "tokenizer.json: " + what}; }

std::string_view text_at(const Json& object, std::string_view key) {
  const Json& value = at_or_null(object, key);
  return value.is_string() ? std::string_view(value.get_ref<const std::string&>())
                           : std::string_view();
}

bool is_set(const Json& object, std::string_view key) { return at_or_null(object, key) == true; }

std::string shown(const Json& part) {
  return part.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 200);
}

Result<void> put_token(std::string_view text, const Json& id,
                       std::vector<std::string_view>& tokens) {
  if (!id.is_number_integer() || id < 0 || id >= kIdsMax)
    return wrong(in_quotes(text) + " has the id " + id.dump().substr(0, 32) +
                 ", not a whole number below " + std::to_string(kIdsMax));
  const auto index = id.get<std::size_t>();
  if (index >= tokens.size()) tokens.resize(index + 1);
  if (!tokens[index].empty() && tokens[index] != text)
    return wrong("id " + std::to_string(index) + " is " + in_quotes(tokens[index]) + " and " +
                 in_quotes(text));
  tokens[index] = text;
  return {};
}

}  // namespace spillway::tokenizer
