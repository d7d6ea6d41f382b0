#include "backends/cloud/dialects/members.h"
#include "backends/cloud/dialects/openai.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace spillway::cloud::openai {

namespace {

// Sorted. OpenAI's fields, and DeepSeek's `thinking`, which others ignore.
constexpr std::array<std::string_view, 34> kForwarded = {
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "stop",
    "store",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
};

std::string quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

using Values = std::array<std::string_view, kForwarded.size()>;

// Of a key given twice the last value counts, as for the parser that read the request here: so the
// provider cannot be made to see another request than the one that was checked.
Result<Values> forwarded_values(std::string_view body) {
  Values values;
  MemberReader reader(body);
  while (const auto member = reader.next()) {
    const std::string key = text_of_key(member->key);
    const auto* place = std::lower_bound(kForwarded.begin(), kForwarded.end(), key);
    if (place == kForwarded.end() || *place != key) continue;
    values[place - kForwarded.begin()] = member->value == "null" ? "" : member->value;
  }
  if (reader.complete()) return values;
  return Error{Errc::invalid_request, "the request body must be a JSON object", "", std::nullopt};
}

// The messages with the answer so far behind them, for a provider that goes on with its last one.
void append_begun(std::string_view messages, std::string_view begun, std::string_view continues,
                  std::string& body) {
  body.append(messages.substr(0, messages.rfind(']')));
  body.append(R"(,{"role":"assistant","content":)").append(quoted(begun));
  body.append(continues == "prefix" ? R"(,"prefix":true}])" : "}]");
}

bool is_limit(std::string_view key) {
  return key == "max_tokens" || key == "max_completion_tokens";
}

// A member of a request that is to be gone on with, or to end sooner than the client said.
void append_changed(std::string_view key, std::string_view value, const ChatRequest& request,
                    std::string_view continues, std::string& body) {
  if (key == "messages" && !request.begun.empty())
    return append_begun(value, request.begun, continues, body);
  if (is_limit(key) && request.sampling.tokens_max) {
    body.append(std::to_string(*request.sampling.tokens_max));
    return;
  }
  body.append(value);
}

}  // namespace

Result<std::string> request_body(const ChatRequest& request, std::string_view model,
                                 std::string_view continues) {
  const auto values = forwarded_values(request.body);
  if (!values) return values.error();

  std::string body;
  body.reserve(request.body.size() + model.size() + 96);
  body.append(R"({"model":)").append(quoted(model));
  if (request.stream) body.append(R"(,"stream":true,"stream_options":{"include_usage":true})");
  bool limited = !request.cut_short;
  for (std::size_t i = 0; i < kForwarded.size(); ++i) {
    const std::string_view value = (*values)[i];
    if (value.empty()) continue;
    limited = limited || is_limit(kForwarded[i]);
    body.append(",\"").append(kForwarded[i]).append("\":");
    if (request.begun.empty() && !request.cut_short) {
      body.append(value);
    } else {
      append_changed(kForwarded[i], value, request, continues, body);
    }
  }
  if (!limited)
    body.append(R"(,"max_tokens":)")
        .append(std::to_string(request.sampling.tokens_max.value_or(1)));
  if (!request.begun.empty() && continues == "continue_final_message")
    body.append(R"(,"continue_final_message":true,"add_generation_prompt":false)");
  body.push_back('}');
  return body;
}

}  // namespace spillway::cloud::openai
