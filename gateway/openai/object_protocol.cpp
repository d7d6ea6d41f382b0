#include "gateway/openai/object_protocol.h"

#include "gateway/openai/embedding_text.h"
#include "gateway/openai/object_request.h"

#include <nlohmann/json.hpp>

#include <functional>
#include <utility>

namespace spillway::openai {
namespace {

using Json = nlohmann::json;

class ObjectWriter final : public wire::AnswerWriter {
 public:
  ObjectWriter(std::string model, Encoding encoding)
      : model_(std::move(model)), encoding_(encoding) {}

  std::string begin(const wire::Opening&) override { return {}; }

  std::string piece(const Delta& delta) override {
    object_ += delta.object;
    return {};
  }

  std::string end(const wire::Ending&) override {
    Json answer = Json::parse(object_, nullptr, false);
    if (!answer.is_object()) return std::move(object_);
    if (answer.contains("model")) answer["model"] = model_;
    if (encoding_ != Encoding::as_it_comes) encode(answer, encoding_);
    return answer.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

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
