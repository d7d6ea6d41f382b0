#include "gateway/openai/usage_text.h"

#include "gateway/openai/remarks.h"
#include "gateway/wire/json_text.h"

namespace spillway::openai {

void append_usage(std::string& out, const Usage& usage, const Beside& beside) {
  out += R"({"prompt_tokens":)";
  wire::append_json_number(out, usage.prompt_tokens);
  out += R"(,"completion_tokens":)";
  wire::append_json_number(out, usage.completion_tokens);
  out += R"(,"total_tokens":)";
  wire::append_json_number(out, std::int64_t{usage.prompt_tokens} + usage.completion_tokens);
  out += R"(,"prompt_tokens_details":{"cached_tokens":)";
  wire::append_json_number(out, usage.cached_tokens);
  if (usage.cache_written_tokens > 0) {
    out += R"(,"cache_write_tokens":)";
    wire::append_json_number(out, usage.cache_written_tokens);
  }
  append_members(out, beside.prompt_details);
  out += R"(},"completion_tokens_details":{"reasoning_tokens":)";
  wire::append_json_number(out, usage.reasoning_tokens);
  append_members(out, beside.completion_details);
  out += "}";
  append_members(out, beside.usage);
  out += "}";
}

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop: return "stop";
    case FinishReason::length: return "length";
    case FinishReason::tool_calls: return "tool_calls";
    case FinishReason::content_filter: return "content_filter";
  }
  return "stop";
}

std::string_view name_of(FinishReason reason, bool calls_function) {
  const bool older = calls_function && reason == FinishReason::tool_calls;
  return older ? "function_call" : name_of(reason);
}

bool calls_function(const Delta& delta) {
  return delta.extra.find(R"("function_call":)") != delta.extra.npos;
}

}  // namespace spillway::openai
