#include "backends/cloud/dialects/dialect.h"

#include "backends/cloud/dialects/anthropic.h"
#include "backends/cloud/dialects/openai.h"

namespace spillway::cloud {
namespace {

class OpenAiReader final : public AnswerReader {
 public:
  Parsed event(std::string_view, std::string_view data) override {
    return openai::parse_chunk(data);
  }
  Parsed answer(std::string_view body) override { return openai::parse_answer(body); }
};

class OpenAi final : public Dialect {
 public:
  std::string_view path() const override { return "chat/completions"; }

  std::vector<std::string> headers(const std::string& key) const override {
    if (key.empty()) return {};
    return {"Authorization: Bearer " + key};
  }

  Result<std::string> request_body(const ChatRequest& request, std::string_view model,
                                   std::string_view continues) const override {
    if (request.original && !request.original->only.empty()) {
      return Error{Errc::unsupported,
                   request.original->only + " can be taken only by a provider that speaks " +
                       request.original->protocol,
                   "", std::nullopt};
    }
    return openai::request_body(request, model, continues);
  }

  std::unique_ptr<AnswerReader> reader(const ChatRequest&) const override {
    return std::make_unique<OpenAiReader>();
  }

  std::string_view answer_name() const override { return "a chat completion"; }
  std::string_view last_event() const override { return "[DONE]"; }
};

}  // namespace

const Dialect* dialect_named(std::string_view name) {
  static const OpenAi openai;
  if (name == "anthropic") return &anthropic::dialect();
  return name == "openai" ? &openai : nullptr;
}

}  // namespace spillway::cloud
