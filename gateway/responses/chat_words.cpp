#include "gateway/responses/chat_words.h"

#include "gateway/responses/request.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace spillway::responses {
namespace {

struct Field {
  std::string_view chat;
  std::string_view own;
};

// The first that fits. Messages are made of items, but not one of each.
constexpr std::array kFields = {
    Field{"response_format.json_schema", "text.format"}, Field{"response_format", "text.format"},
    Field{"max_completion_tokens", "max_output_tokens"}, Field{"max_tokens", "max_output_tokens"},
    Field{"reasoning_effort", "reasoning.effort"},       Field{"verbosity", "text.verbosity"}};

// Whether `path` is `field` or something in it.
bool is_in(std::string_view path, std::string_view field) {
  return path.starts_with(field) &&
         (path.size() == field.size() || path[field.size()] == '.' || path[field.size()] == '[');
}

// `tools[0].function.parameters` is flat here.
std::string flat(std::string path) {
  for (const std::string_view kind : {".function", ".custom"}) {
    const auto at = path.find(kind);
    if (at != path.npos && is_in(std::string_view(path).substr(at), kind))
      return path.erase(at, kind.size());
  }
  return path;
}

std::string own_path(const std::string& path) {
  if (is_in(path, "messages")) return "input";
  if (is_in(path, "tools") || is_in(path, "tool_choice")) return flat(path);
  for (const Field& field : kFields) {
    if (is_in(path, field.chat)) return std::string(field.own) + path.substr(field.chat.size());
  }
  return path;
}

}  // namespace

Error in_words_of_responses(Error error) {
  const bool is_own = error.code == Errc::invalid_request && error.kind == kNotServed;
  if (error.param.empty() || is_own) return error;
  const std::string quoted = "'" + error.param + "'";
  error.param = own_path(error.param);
  const auto at = error.message.find(quoted);
  if (at != error.message.npos) error.message.replace(at + 1, quoted.size() - 2, error.param);
  return error;
}

}  // namespace spillway::responses
