#include "gateway/anthropic/message_text.h"

#include "gateway/wire/json_text.h"

#include <algorithm>

namespace spillway::anthropic {
namespace {

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop: return "end_turn";
    case FinishReason::length: return "max_tokens";
    case FinishReason::tool_calls: return "tool_use";
    case FinishReason::content_filter: return "refusal";
  }
  return "end_turn";
}

}  // namespace

std::string message_id(std::string_view request_id) {
  const auto mark = request_id.find('_');
  return "msg_" + std::string(request_id.substr(mark == request_id.npos ? 0 : mark + 1));
}

std::string message_head(std::string_view request_id, std::string_view model) {
  std::string head = R"("id":)";
  wire::append_json_string(head, message_id(request_id));
  head += R"(,"type":"message","role":"assistant","model":)";
  wire::append_json_string(head, model);
  return head;
}

std::string stop_text(FinishReason reason, std::string_view stop_sequence, bool called) {
  const bool by_text = reason == FinishReason::stop && !stop_sequence.empty();
  if (called && reason == FinishReason::stop) reason = FinishReason::tool_calls;
  std::string text = R"("stop_reason":)";
  wire::append_json_string(text, by_text ? "stop_sequence" : name_of(reason));
  text += R"(,"stop_sequence":)";
  wire::append_json_string_or_null(text, by_text ? stop_sequence : "");
  return text;
}

std::string usage_text(const Usage& usage, std::string_view tier) {
  std::string text = R"({"input_tokens":)";
  wire::append_json_number(
      text, std::max(0, usage.prompt_tokens - usage.cached_tokens - usage.cache_written_tokens));
  text += R"(,"cache_creation_input_tokens":)";
  wire::append_json_number(text, usage.cache_written_tokens);
  text += R"(,"cache_read_input_tokens":)";
  wire::append_json_number(text, usage.cached_tokens);
  text += R"(,"output_tokens":)";
  wire::append_json_number(text, usage.completion_tokens);
  if (!tier.empty()) text.append(R"(,"service_tier":")").append(tier).append("\"");
  text += "}";
  return text;
}

std::string_view tier_text(std::string_view service_tier) {
  return service_tier == "priority" ? "priority" : "standard";
}

}  // namespace spillway::anthropic
