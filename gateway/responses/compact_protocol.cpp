#include "gateway/responses/compact_protocol.h"

#include "gateway/responses/chat_words.h"
#include "gateway/responses/compaction.h"
#include "gateway/responses/items.h"
#include "gateway/responses/response_object.h"
#include "gateway/wire/json_object.h"

#include <nlohmann/json.hpp>

#include <functional>
#include <utility>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;

constexpr const char* kAsk =
    "Summarise our conversation so far, so that it can be gone on with from your summary alone. "
    "Keep what was asked for and decided, names, numbers, code, results of tools, and what is "
    "still to be done. Answer with the summary only.";

// The request of a response that is the summary.
Result<std::string> summary_request(const std::string& body) {
  const auto json = wire::parse_object(body);
  if (!json) return json.error();
  ordered_json asked = ordered_json::parse(body);
  if (asked.value("stream", ordered_json(false)) == true)
    return Error{Errc::invalid_request, "'stream' must be false: a compaction comes as a whole",
                 "stream", std::nullopt};
  ordered_json& input = asked["input"];
  if (input.is_null()) input = ordered_json::array();
  if (input.is_string()) input = ordered_json::array({item_of_text(input)});
  if (input.is_array()) input.push_back(item_of_text(kAsk));
  asked["store"] = false;
  for (const char* name : {"tools", "tool_choice", "parallel_tool_calls", "text"})
    asked.erase(name);
  return text_of(asked);
}

// The user's own messages of a list of items, each at the end of `all`.
void add_user_messages(const std::string& items, ordered_json& all) {
  for (ordered_json& item : ordered_json::parse(items)) {
    if (text_in(item, "type") == "message" && text_in(item, "role") == "user")
      all.push_back(std::move(item));
  }
}

// All of them but the last, which is ours.
ordered_json user_messages(const Conversation& conversation) {
  ordered_json kept = ordered_json::array();
  for (const std::string& turn : conversation.before) add_user_messages(turn, kept);
  add_user_messages(conversation.request.input, kept);
  kept.erase(kept.size() - 1);
  return kept;
}

class CompactionWriter final : public wire::AnswerWriter {
 public:
  CompactionWriter(std::string turn, std::int64_t created, ordered_json kept, Leave leave)
      : turn_(std::move(turn)),
        created_(created),
        output_(std::move(kept)),
        leave_(std::move(leave)) {}

  std::string begin(const wire::Opening&) override { return {}; }
  std::string piece(const Delta& delta) override {
    summary_ += delta.text;
    return {};
  }
  std::string end(const wire::Ending& ending) override {
    output_.push_back(compaction_item("cmp_" + turn_, summary_));
    ordered_json object = {{"id", response_id(turn_)},
                           {"object", "response.compaction"},
                           {"created_at", created_},
                           {"output", std::move(output_)},
                           {"usage", usage_in_json(ending.usage)}};
    const bool whole = ending.finishes.front() == FinishReason::stop && !summary_.empty();
    if (!whole) object["incomplete_details"] = {{"reason", "the summary is not whole"}};
    return text_of(object);
  }
  std::string failed(const Error&) override { return {}; }
  void afresh() override { summary_.clear(); }

 private:
  const std::string turn_;
  const std::int64_t created_;
  ordered_json output_;  // The user's messages.
  const Leave leave_;    // For what is summed up.
  std::string summary_;
};

}  // namespace

Async<wire::Asked> CompactProtocol::parse(wire::Call call) const {
  std::function<Result<std::string>()> ask = [&call] { return summary_request(call.body); };
  auto body = co_await wire::read_in(call.room, call.tenant, call.body.size(), std::move(ask));
  if (!body) co_return body.error();
  call.body = std::move(*body);
  auto conversation = co_await responses_.converse(call);
  if (!conversation) co_return conversation.error();
  const std::size_t bytes = Archive::bytes_of(conversation->before) + call.body.size();
  ordered_json kept;
  std::function<Result<bool>()> keep = [&kept, &conversation] {
    kept = user_messages(*conversation);
    return true;
  };
  const auto read = co_await wire::read_in(call.room, call.tenant, bytes, std::move(keep));
  if (!read) co_return read.error();
  wire::Asked asked;
  asked.writer = std::make_unique<CompactionWriter>(
      turn_of(call.request_id), call.created, std::move(kept), std::move(conversation->leave));
  asked.chat = std::move(conversation->chat);
  co_return std::move(asked);
}

wire::ErrorReply CompactProtocol::error(const Error& error, std::string_view) const {
  return wire::error_reply(in_words_of_responses(error));
}

}  // namespace spillway::responses
