#include "gateway/responses/response_object.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace spillway::responses {

using nlohmann::ordered_json;

std::string turn_of(std::string_view request_id) {
  const auto mark = request_id.find('_');
  return std::string(request_id.substr(mark == request_id.npos ? 0 : mark + 1));
}

std::string response_id(std::string_view turn) { return "resp_" + std::string(turn); }

ordered_json begun_response(const ResponseInfo& info, std::string_view status) {
  ordered_json object = {{"id", info.id},
                         {"object", "response"},
                         {"created_at", info.created},
                         {"completed_at", nullptr},
                         {"status", status},
                         {"error", nullptr},
                         {"incomplete_details", nullptr},
                         {"model", info.model},
                         {"output", ordered_json::array()},
                         {"usage", nullptr}};
  object.update(ordered_json::parse(info.settings));
  return object;
}

void complete(ordered_json& object, ordered_json output, FinishReason finish, const Usage& usage,
              std::int64_t completed_at) {
  const bool cut = finish == FinishReason::length || finish == FinishReason::content_filter;
  object["status"] = cut ? "incomplete" : "completed";
  if (!cut) object["completed_at"] = completed_at;
  if (cut) {
    object["incomplete_details"] = {
        {"reason", finish == FinishReason::length ? "max_output_tokens" : "content_filter"}};
  }
  object["output"] = std::move(output);
  object["usage"] = usage_in_json(usage);
}

ordered_json usage_in_json(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details",
           {{"cached_tokens", usage.cached_tokens},
            {"cache_write_tokens", usage.cache_written_tokens}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
          {"total_tokens", std::int64_t{usage.prompt_tokens} + usage.completion_tokens}};
}

void fail(ordered_json& object, std::string_view code, std::string_view message) {
  object["status"] = "failed";
  object["error"] = {{"code", code}, {"message", message}};
}

std::string_view failure_code(const Error& error) {
  const bool busy = error.code == Errc::rate_limited || error.code == Errc::overloaded;
  if (busy) return "rate_limit_exceeded";
  return error.code == Errc::invalid_request ? "invalid_prompt" : "server_error";
}

std::string begun_text(const ResponseInfo& info, std::string_view status) {
  return text_of(begun_response(info, status));
}

std::string text_in(const ordered_json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  if (found == object.end() || !found->is_string()) return {};
  return found->get<std::string>();
}

std::string text_of(const ordered_json& object) {
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace spillway::responses
