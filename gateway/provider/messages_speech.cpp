#include "gateway/provider/speech.h"
#include "gateway/provider/wire.h"

#include <utility>

namespace spillway::provider {

namespace {

std::string event(std::string_view type, std::string_view members) {
  std::string text = "event: ";
  text.append(type).append("\ndata: {\"type\":\"").append(type).append("\"");
  if (!members.empty()) text.append(",").append(members);
  return text.append("}\n\n");
}

std::string_view error_type(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 529: return "overloaded_error";
    default: return status < 500 ? "invalid_request_error" : "api_error";
  }
}

std::string error_object(std::string_view type, std::string_view message) {
  return R"({"type":"error","error":{"type":)" + json_string(type) + R"(,"message":)" +
         json_string(message) + R"(},"request_id":"req_simulated"})";
}

class MessagesSpeech final : public Speech {
 public:
  MessagesSpeech(std::string_view id, const Asked& asked)
      : asked_(asked),
        head_(R"("id":"msg_)" + std::string(id) +
              R"(","type":"message","role":"assistant","model":)" + json_string(asked.model)) {}

  std::string piece(std::string_view text, int index) const override {
    std::string events;
    if (index == 0) events = start();
    const bool answers = index == asked_.thoughts;
    if (answers && index > 0) events += sign() + stop(0);
    if (index == 0 || answers) events += open(index < asked_.thoughts);
    const std::string at = R"("index":)" + std::to_string(block(index)) + R"(,"delta":{"type":)";
    if (index < asked_.thoughts) {
      return events + event("content_block_delta",
                            at + R"("thinking_delta","thinking":)" + json_string(text) + "}");
    }
    if (asked_.tool.empty()) {
      return events +
             event("content_block_delta", at + R"("text_delta","text":)" + json_string(text) + "}");
    }
    const std::string letters = (answers ? R"({"text":")" : "") + json_letters(text);
    return events + event("content_block_delta", at + R"("input_json_delta","partial_json":)" +
                                                     json_string(letters) + "}");
  }

  std::string last_events() const override {
    std::string events;
    const std::string at = R"("index":)" + std::to_string(block(asked_.thoughts));
    if (!asked_.tool.empty()) {
      events = event("content_block_delta",
                     at + R"(,"delta":{"type":"input_json_delta","partial_json":"\"}"})");
    }
    events += stop(block(asked_.thoughts));
    return events +
           event("message_delta", R"("delta":{)" + stopped() + R"(},"usage":{"output_tokens":)" +
                                      std::to_string(asked_.completion_tokens) + "}");
  }

  std::string_view end_event() const override {
    return "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
  }

  std::string whole(std::string_view thought, std::string_view text) const override {
    std::string content;
    if (asked_.thoughts > 0) {
      content =
          R"({"type":"thinking","thinking":)" + json_string(thought) + R"(,"signature":"sig"},)";
    }
    if (asked_.tool.empty()) {
      content += R"({"type":"text","text":)" + json_string(text) + "}";
    } else {
      content += R"({"type":"tool_use","id":"toolu_1","name":)" + json_string(asked_.tool) +
                 R"(,"input":{"text":)" + json_string(text) + "}}";
    }
    return "{" + head_ + R"(,"content":[)" + content + "]," + stopped() + R"(,"usage":)" +
           usage(asked_.completion_tokens) + "}";
  }

  std::string error_event(std::string_view message) const override {
    return "event: error\ndata: " + error_object("api_error", message) + "\n\n";
  }

  std::string_view malformed_event() const override {
    return "event: content_block_delta\ndata: {\"type\":\"content_blo\n\n";
  }

 private:
  int block(int index) const { return asked_.thoughts > 0 && index >= asked_.thoughts ? 1 : 0; }

  std::string start() const {
    return event("message_start",
                 R"("message":{)" + head_ +
                     R"(,"content":[],"stop_reason":null,"stop_sequence":null,"usage":)" +
                     usage(1) + "}") +
           event("ping", "");
  }

  std::string open(bool thinking) const {
    std::string block_text = R"({"type":"text","text":""})";
    if (!asked_.tool.empty()) {
      block_text = R"({"type":"tool_use","id":"toolu_1","name":)" + json_string(asked_.tool) +
                   R"(,"input":{}})";
    }
    if (thinking) block_text = R"({"type":"thinking","thinking":"","signature":""})";
    return event("content_block_start", R"("index":)" +
                                            std::to_string(thinking ? 0 : block(asked_.thoughts)) +
                                            R"(,"content_block":)" + block_text);
  }

  static std::string sign() {
    return event("content_block_delta",
                 R"("index":0,"delta":{"type":"signature_delta","signature":"sig"})");
  }

  static std::string stop(int index) {
    return event("content_block_stop", R"("index":)" + std::to_string(index));
  }

  std::string stopped() const {
    std::string_view reason = asked_.limited ? "max_tokens" : "end_turn";
    if (!asked_.tool.empty()) reason = "tool_use";
    return R"("stop_reason":")" + std::string(reason) + R"(","stop_sequence":null)";
  }

  // A tenth of the prompt comes from a cache.
  std::string usage(int answer) const {
    const int cached = asked_.prompt_tokens / 10;
    return R"({"input_tokens":)" + std::to_string(asked_.prompt_tokens - cached) +
           R"(,"cache_creation_input_tokens":0,"cache_read_input_tokens":)" +
           std::to_string(cached) + R"(,"output_tokens":)" + std::to_string(answer) + "}";
  }

  const Asked& asked_;
  const std::string head_;
};

}  // namespace

const Protocol& messages_protocol() {
  static constexpr Protocol kMessages{
      &parse_messages_asked,
      [](std::string_view id, const Asked& asked) -> std::unique_ptr<Speech> {
        return std::make_unique<MessagesSpeech>(id, asked);
      },
      [](int status, const Error& error) {
        return error_object(error_type(status), error.message);
      }};
  return kMessages;
}

}  // namespace spillway::provider
