#include "gateway/openai/chat_protocol.h"

#include "gateway/openai/chat_request.h"
#include "gateway/openai/chat_response.h"
#include "gateway/openai/stored_chat.h"

#include <functional>
#include <memory>
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
    return writer_->first_chunks();
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

// The whole answer out of its pieces.
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
    int choice = 0;
    for (const FinishReason reason : ending.finishes) {
      Delta last;
      last.choice = choice++;
      last.finish = reason;
      last.usage = ending.usage;
      answer_.add(last);
    }
    return answer_.body(info_);
  }

  std::string failed(const Error& error) override { return wire::error_object(error); }

  void afresh() override { answer_ = {}; }

 private:
  ChatAnswerInfo info_;
  ChatAnswer answer_;
};

// Puts the whole answer on the shelf, beside what it says.
class KeepingWriter final : public wire::AnswerWriter {
 public:
  // `events` is null where the whole is what is said.
  KeepingWriter(std::unique_ptr<wire::AnswerWriter> events, ChatAnswerInfo info,
                wire::KeptChat chat, wire::ChatShelf& shelf)
      : events_(std::move(events)),
        whole_(std::move(info)),
        chat_(std::move(chat)),
        shelf_(shelf) {}

  std::string begin(const wire::Opening& opening) override {
    (void)whole_.begin(opening);
    return events_ ? events_->begin(opening) : std::string();
  }

  std::string piece(const Delta& delta) override {
    (void)whole_.piece(delta);
    return events_ ? events_->piece(delta) : std::string();
  }

  // What was paid for is given, found again or not.
  Async<bool> keep(const wire::Ending& ending) override {
    body_ = whole_.end(ending);
    chat_.body = body_;
    const auto put = co_await shelf_.put(std::move(chat_));
    co_return put.has_value();
  }

  std::string end(const wire::Ending& ending) override {
    return events_ ? events_->end(ending) : std::move(body_);
  }

  std::string failed(const Error& error) override {
    return events_ ? events_->failed(error) : whole_.failed(error);
  }

  void afresh() override { whole_.afresh(); }

 private:
  const std::unique_ptr<wire::AnswerWriter> events_;
  BodyWriter whole_;
  wire::KeptChat chat_;
  wire::ChatShelf& shelf_;
  std::string body_;  // The whole, once it has ended.
};

}  // namespace

Async<wire::Asked> ChatProtocol::parse(wire::Call call) const {
  std::function<Result<wire::Asked>()> read = [this, &call] { return asked_by(call); };
  co_return co_await wire::read_in(call.room, call.tenant, call.body.size(), std::move(read));
}

Result<wire::Asked> ChatProtocol::asked_by(wire::Call& call) const {
  auto chat = parse_chat(std::move(call.body));
  if (!chat) return chat.error();
  ChatAnswerInfo info;
  info.id = chat_completion_id(call.request_id);
  info.model = (*chat)->model;
  info.created = call.created;
  info.include_usage = (*chat)->include_usage;
  info.choices = (*chat)->choices;
  wire::Asked asked;
  if ((*chat)->stream) asked.writer = std::make_unique<EventWriter>(info);
  if ((*chat)->store && shelf_ != nullptr) {
    wire::KeptChat kept{.id = info.id,
                        .tenant = std::move(call.tenant),
                        .model = info.model,
                        .created = info.created};
    keep_request((*chat)->body, kept);
    asked.writer = std::make_unique<KeepingWriter>(std::move(asked.writer), std::move(info),
                                                   std::move(kept), *shelf_);
  }
  if (!asked.writer) asked.writer = std::make_unique<BodyWriter>(std::move(info));
  asked.chat = std::move(*chat);
  return asked;
}

wire::ErrorReply ChatProtocol::error(const Error& error, std::string_view) const {
  return wire::error_reply(error);
}

}  // namespace spillway::openai
