#include "gateway/openai/object_protocol.h"

#include "backends/contract/deadline.h"
#include "gateway/openai/embedding_text.h"
#include "gateway/openai/object_request.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <functional>
#include <utility>

namespace spillway::openai {
namespace net = boost::asio;

namespace {

constexpr std::chrono::milliseconds kTurn{2};

class ObjectWriter final : public wire::AnswerWriter {
 public:
  ObjectWriter(std::string model, Encoding encoding)
      : model_(std::move(model)), encoding_(encoding) {}

  std::string begin(const wire::Opening&) override { return {}; }

  std::string piece(const Delta& delta) override {
    object_ += delta.object;
    return {};
  }

  // Lets others have their turn meanwhile.
  Async<bool> keep(const wire::Ending&) override {
    EmbeddingText text(std::move(object_), model_, encoding_);
    TimePoint rest_at = SteadyClock::now() + kTurn;
    while (text.step()) {
      if (SteadyClock::now() < rest_at) continue;
      co_await net::post(net::use_awaitable);
      rest_at = SteadyClock::now() + kTurn;
    }
    object_ = text.take();
    co_return true;
  }

  std::string end(const wire::Ending&) override { return std::move(object_); }

  std::string failed(const Error& error) override { return wire::error_object(error); }

  void afresh() override { object_.clear(); }

 private:
  const std::string model_;
  const Encoding encoding_;
  std::string object_;
};

}  // namespace

Async<wire::Asked> ObjectProtocol::parse(wire::Call call) const {
  std::function<Result<wire::Asked>()> read = [this, &call] { return asked_by(call); };
  co_return co_await wire::read_in(call.room, call.tenant, call.body.size(), std::move(read));
}

Result<wire::Asked> ObjectProtocol::asked_by(wire::Call& call) const {
  auto question = parse_object_request(endpoint_, std::move(call.body));
  if (!question) return question.error();
  wire::Asked asked;
  asked.writer = std::make_unique<ObjectWriter>(question->request->model, question->encoding);
  asked.chat = std::move(question->request);
  return asked;
}

wire::ErrorReply ObjectProtocol::error(const Error& error, std::string_view) const {
  return wire::error_reply(error);
}

}  // namespace spillway::openai
