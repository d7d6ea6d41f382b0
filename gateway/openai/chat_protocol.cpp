#include "gateway/openai/chat_protocol.h"

#include "gateway/openai/chat_request.h"
#include "gateway/openai/chat_response.h"

#include <optional>
#include <utility>

namespace spillway::openai {
namespace {

class EventWriter final : public wire::AnswerWriter {
 public:
  explicit EventWriter(ChatAnswerInfo info) : info_(std::move(info)) {}

  std::string begin(const wire::Opening& opening) override {
    info_.service_tier = opening.service_tier;
    writer_.emplace(info_);
    return writer_->first_chunk();
  }

  std::string piece(const Delta& delta) override { return writer_->delta(delta); }

  std::string end(const wire::Ending& ending) override {
    std::string events;
    int choice = 0;
    for (const FinishReason reason : ending.finishes) events += writer_->finish(reason, choice++);
    return events.append(writer_->usage(ending.usage)).append(ChatWriter::done());
  }

  std::string failed(const Error& error) override {
    return "data: " + wire::error_object(error) + "\n\n";
  }

  void afresh() override {}

 private:
  ChatAnswerInfo info_;
  std::optional<ChatWriter> writer_;  // Once it is known what all chunks say.
};

class BodyWriter final : public wire::AnswerWriter {
 public:
  explicit BodyWriter(ChatAnswerInfo info) : info_(std::move(info)) {}

  std::string begin(const wire::Opening& opening) override {
    info_.service_tier = opening.service_tier;
    return {};
  }

  std::string piece(const Delta& delta) override {
    answer_.add(delta);
    return {};
  }

  std::string end(const wire::Ending& ending) override {
    Delta last;
    last.finish = ending.finishes.front();
    last.usage = ending.usage;
    answer_.add(last);
    return answer_.body(info_);
  }

  std::string failed(const Error& error) override { return wire::error_object(error); }

  void afresh() override { answer_ = {}; }

 private:
  ChatAnswerInfo info_;
  ChatAnswer answer_;
};

}  // namespace

Async<wire::Asked> ChatProtocol::parse(wire::Call call) const {
  auto chat = parse_chat(std::move(call.body));
  if (!chat) co_return chat.error();
  ChatAnswerInfo info;
  info.id = chat_completion_id(call.request_id);
  info.model = (*chat)->model;
  info.created = call.created;
  info.include_usage = (*chat)->include_usage;
  wire::Asked asked;
  if ((*chat)->stream) {
    asked.writer = std::make_unique<EventWriter>(std::move(info));
  } else {
    asked.writer = std::make_unique<BodyWriter>(std::move(info));
  }
  asked.chat = std::move(*chat);
  co_return std::move(asked);
}

wire::ErrorReply ChatProtocol::error(const Error& error, std::string_view) const {
  return wire::error_reply(error);
}

}  // namespace spillway::openai
