#include "gateway/anthropic/message_writer.h"

#include "backends/contract/json_depth.h"
#include "gateway/anthropic/blocks.h"
#include "gateway/anthropic/errors.h"
#include "gateway/anthropic/message_text.h"
#include "gateway/wire/json_text.h"

#include <nlohmann/json.hpp>

#include <string_view>
#include <utility>
#include <vector>

namespace spillway::anthropic {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kStart = "event: content_block_start\n";
constexpr std::string_view kStop = "event: content_block_stop\n";
constexpr std::string_view kLast = "event: message_stop\n";

int count_of(std::string_view events, std::string_view what) {
  int count = 0;
  for (auto at = events.find(what); at != events.npos; at = events.find(what, at + what.size()))
    ++count;
  return count;
}

class EventWriter final : public wire::AnswerWriter, private BlockSink {
 public:
  explicit EventWriter(MessageInfo info)
      : info_(std::move(info)), blocks_(*this, info_.request_id) {}

  // Whose words the first event is in is not known before the first piece.
  std::string begin(const wire::Opening& opening) override {
    prompt_.prompt_tokens = opening.prompt_tokens;
    tier_ = tier_text(opening.service_tier);
    return {};
  }

  std::string piece(const Delta& delta) override {
    if (!delta.stopped_by.empty()) stopped_by_ = delta.stopped_by;
    if (!delta.original.empty()) return pass(delta);
    const bool silent = delta.text.empty() && delta.reasoning.empty() && delta.extra.empty();
    if (silent) return {};
    take_over();
    start();
    blocks_.add(delta);
    return std::exchange(out_, {});
  }

  std::string end(const wire::Ending& ending) override {
    take_over();
    start();
    if (!end_told_) {
      blocks_.end();
      const std::string stop = stop_text(ending.finishes.front(), stopped_by_, blocks_.called());
      event("message_delta", R"("delta":{)" + stop + R"(},"usage":)" + usage_text(ending.usage));
    }
    if (!stop_told_) event("message_stop", "");
    return std::exchange(out_, {});
  }

  std::string failed(const Error& error) override {
    return "event: error\ndata: " + error_object(error, info_.request_id) + "\n\n";
  }

  void afresh() override {}

 private:
  std::string pass(const Delta& delta) {
    passing_ = started_ = true;
    opened_ += count_of(delta.original, kStart);
    closed_ += count_of(delta.original, kStop);
    end_told_ |= delta.finish.has_value();
    stop_told_ |= count_of(delta.original, kLast) > 0;
    return delta.original;
  }

  // The target that spoke messages says no more; if in the middle of a text, that goes on here.
  void take_over() {
    if (!std::exchange(passing_, false)) return;
    if (opened_ > closed_) blocks_.resume(BlockKind::text);
  }

  void start() {
    if (std::exchange(started_, true)) return;
    event("message_start", R"("message":{)" + message_head(info_.request_id, info_.model) +
                               R"(,"content":[],"stop_reason":null,"stop_sequence":null,"usage":)" +
                               usage_text(prompt_, tier_) + "}");
    event("ping", "");
  }

  void open(BlockKind kind, std::string_view id, std::string_view name) override {
    std::string block = R"({"type":"text","text":""})";
    if (kind == BlockKind::thinking) block = R"({"type":"thinking","thinking":"","signature":""})";
    if (kind == BlockKind::tool_use) {
      block = R"({"type":"tool_use","id":)";
      wire::append_json_string(block, id);
      block += R"(,"name":)";
      wire::append_json_string(block, name);
      block += R"(,"input":{}})";
    }
    ++opened_;
    event("content_block_start", index() + R"(,"content_block":)" + block);
  }

  void grow(BlockKind kind, std::string_view piece) override {
    std::string members = index();
    if (kind == BlockKind::text) members += R"(,"delta":{"type":"text_delta","text":)";
    if (kind == BlockKind::thinking) members += R"(,"delta":{"type":"thinking_delta","thinking":)";
    if (kind == BlockKind::tool_use)
      members += R"(,"delta":{"type":"input_json_delta","partial_json":)";
    wire::append_json_string(members, piece);
    event("content_block_delta", members + "}");
  }

  void close(BlockKind) override {
    event("content_block_stop", index());
    ++closed_;
  }

  std::string index() const { return R"("index":)" + std::to_string(opened_ - 1); }

  void event(std::string_view type, std::string_view members) {
    out_.append("event: ").append(type).append("\ndata: {\"type\":\"").append(type).append("\"");
    if (!members.empty()) out_.append(",").append(members);
    out_.append("}\n\n");
  }

  const MessageInfo info_;
  Blocks blocks_;
  Usage prompt_;  // As counted here, before the target says.
  std::string_view tier_;
  std::string stopped_by_;
  std::string out_;
  bool started_ = false;
  bool passing_ = false;                       // The target's own events go out.
  bool end_told_ = false, stop_told_ = false;  // By these.
  int opened_ = 0, closed_ = 0;
};

class BodyWriter final : public wire::AnswerWriter, private BlockSink {
 public:
  explicit BodyWriter(MessageInfo info)
      : info_(std::move(info)), blocks_(*this, info_.request_id) {}

  std::string begin(const wire::Opening& opening) override {
    tier_ = tier_text(opening.service_tier);
    return {};
  }

  std::string piece(const Delta& delta) override {
    if (!delta.stopped_by.empty()) stopped_by_ = delta.stopped_by;
    original_ += delta.original;
    if (original_.empty()) blocks_.add(delta);
    return {};
  }

  std::string end(const wire::Ending& ending) override {
    if (!original_.empty()) return std::move(original_);
    blocks_.end();
    std::string body = "{" + message_head(info_.request_id, info_.model) + R"(,"content":)";
    body += content_.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + ",";
    body += stop_text(ending.finishes.front(), stopped_by_, blocks_.called());
    body += R"(,"usage":)";
    return body + usage_text(ending.usage, tier_) + "}";
  }

  std::string failed(const Error& error) override { return error_object(error, info_.request_id); }

  void afresh() override {
    blocks_.afresh();
    content_ = ordered_json::array();
    original_.clear();
    stopped_by_.clear();
  }

 private:
  void open(BlockKind kind, std::string_view id, std::string_view name) override {
    text_.clear();
    if (kind == BlockKind::tool_use)
      content_.push_back({{"type", "tool_use"}, {"id", id}, {"name", name}});
  }

  void grow(BlockKind, std::string_view piece) override { text_ += piece; }

  void close(BlockKind kind) override {
    if (kind == BlockKind::text) content_.push_back({{"type", "text"}, {"text", text_}});
    if (kind == BlockKind::thinking)
      content_.push_back({{"type", "thinking"}, {"thinking", text_}, {"signature", ""}});
    if (kind == BlockKind::tool_use) content_.back()["input"] = input();
  }

  // A client gets an object, whatever the model wrote.
  ordered_json input() const {
    if (text_.empty()) return ordered_json::object();
    ordered_json input;
    if (!is_outsized(text_)) input = ordered_json::parse(text_, nullptr, false);
    if (input.is_object()) return input;
    return {{"arguments", text_}};
  }

  const MessageInfo info_;
  Blocks blocks_;
  ordered_json content_ = ordered_json::array();
  std::string text_;      // Of the block that is open.
  std::string original_;  // The target's own body.
  std::string_view tier_;
  std::string stopped_by_;
};

}  // namespace

std::unique_ptr<wire::AnswerWriter> event_writer(MessageInfo info) {
  return std::make_unique<EventWriter>(std::move(info));
}

std::unique_ptr<wire::AnswerWriter> body_writer(MessageInfo info) {
  return std::make_unique<BodyWriter>(std::move(info));
}

}  // namespace spillway::anthropic
