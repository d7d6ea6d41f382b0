#include "gateway/provider/wire.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace spillway::provider {

namespace {

constexpr std::string_view kCreated = "1764000000";  // The same in every chunk and every run.

bool is_plain(char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; }

std::string or_null(std::string_view text) { return text.empty() ? "null" : json_string(text); }

}  // namespace

std::string json_string(std::string_view text) {
  if (!std::all_of(text.begin(), text.end(), is_plain)) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  std::string result;
  result.reserve(text.size() + 2);
  return result.append(1, '"').append(text).append(1, '"');
}

std::string json_letters(std::string_view text) {
  const std::string quoted = json_string(text);
  return quoted.substr(1, quoted.size() - 2);
}

Wire::Wire(std::string_view id, const Asked& asked) : asked_(asked) {
  ids_.append(R"({"id":"chatcmpl-)").append(id).append(R"(","created":)").append(kCreated);
  ids_.append(R"(,"model":)").append(json_string(asked.model));
}

std::string Wire::chunk(std::string_view choices, std::string_view more) const {
  std::string event;
  event.reserve(64 + ids_.size() + choices.size() + more.size());
  event.append("data: ").append(ids_).append(R"(,"object":"chat.completion.chunk","choices":[)");
  return event.append(choices).append("]").append(more).append("}\n\n");
}

std::string Wire::piece(std::string_view text, int index) const {
  std::string choice = R"({"index":0,"delta":{)";
  if (index == 0) choice.append(R"("role":"assistant",)");
  if (index < asked_.thoughts) {
    choice.append(R"("reasoning_content":)").append(json_string(text));
  } else if (asked_.tool.empty()) {
    choice.append(R"("content":)").append(json_string(text));
  } else {
    const bool opens = index == asked_.thoughts;
    choice.append(R"("tool_calls":[{"index":0,)");
    if (opens) choice.append(R"("id":"call_1","type":"function",)");
    choice.append(R"("function":{)");
    if (opens) choice.append(R"("name":)").append(json_string(asked_.tool)).append(",");
    const std::string letters = (opens ? R"({"text":")" : "") + json_letters(text);
    choice.append(R"("arguments":)").append(json_string(letters)).append("}}]");
  }
  choice.append(R"(},"logprobs":null,"finish_reason":null})");
  return chunk(choice, asked_.include_usage ? R"(,"usage":null)" : "");
}

std::string Wire::last_events() const {
  std::string choice = R"({"index":0,"delta":{)";
  if (!asked_.tool.empty())
    choice.append(R"("tool_calls":[{"index":0,"function":{"arguments":"\"}"}}])");
  choice.append(R"(},"logprobs":null,"finish_reason":")");
  choice.append(finish()).append("\"}");
  if (!asked_.include_usage) return chunk(choice, "");
  return chunk(choice, R"(,"usage":null)") + chunk("", usage());
}

std::string Wire::whole(std::string_view thought, std::string_view text) const {
  std::string body = ids_;
  body.reserve(512 + text.size());
  body.append(R"(,"object":"chat.completion","choices":[{"index":0,"message":{"role":)");
  body.append(R"("assistant","content":)");
  body.append(asked_.tool.empty() ? json_string(text) : "null");
  if (asked_.thoughts > 0) body.append(R"(,"reasoning_content":)").append(json_string(thought));
  if (!asked_.tool.empty()) {
    body.append(R"(,"tool_calls":[{"id":"call_1","type":"function","function":{"name":)");
    body.append(json_string(asked_.tool)).append(R"(,"arguments":)");
    body.append(json_string(R"({"text":)" + json_string(text) + "}")).append("}}]");
  }
  body.append(R"(,"refusal":null},"logprobs":null,"finish_reason":")").append(finish());
  return body.append("\"}]").append(usage()).append("}");
}

std::string Wire::usage() const {
  std::string text = R"(,"usage":{"prompt_tokens":)";
  text.append(std::to_string(asked_.prompt_tokens)).append(R"(,"completion_tokens":)");
  text.append(std::to_string(asked_.completion_tokens)).append(R"(,"total_tokens":)");
  text.append(std::to_string(asked_.prompt_tokens + asked_.completion_tokens));
  text.append(R"(,"prompt_tokens_details":{"cached_tokens":)");
  text.append(std::to_string(asked_.cached_tokens));
  return text.append(R"(},"completion_tokens_details":{"reasoning_tokens":0}})");
}

std::string_view Wire::finish() const {
  if (!asked_.tool.empty()) return "tool_calls";
  return asked_.limited ? "length" : "stop";
}

std::string Wire::error_event(std::string_view message) const {
  return "data: " + error_body(message, "server_error", "") + "\n\n";
}

std::string_view Wire::malformed_event() const { return "data: {\"id\":\"chatcmpl-\",\"choi\n\n"; }

const Protocol& chat_protocol() {
  static constexpr Protocol kChat{
      &parse_asked,
      [](std::string_view id, const Asked& asked) -> std::unique_ptr<Speech> {
        return std::make_unique<Wire>(id, asked);
      },
      [](int status, const Error& error) {
        if (status == 429)
          return error_body(error.message, "rate_limit_error", "rate_limit_exceeded");
        const char* type = status >= 500 ? "server_error" : "invalid_request_error";
        return error_body(error.message, type, status == 401 ? "invalid_api_key" : "", error.param);
      }};
  return kChat;
}

std::string error_body(std::string_view message, std::string_view type, std::string_view code,
                       std::string_view param) {
  return R"({"error":{"message":)" + json_string(message) + R"(,"type":)" + json_string(type) +
         R"(,"param":)" + or_null(param) + R"(,"code":)" + or_null(code) + "}}";
}

}  // namespace spillway::provider
