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

class ObjectReader final : public AnswerReader {
 public:
  Parsed event(std::string_view, std::string_view) override {
    return Parsed{.kind = Parsed::Kind::garbage};
  }
  Parsed answer(std::string_view body) override { return openai::parse_object(body); }
};

class OpenAi final : public Dialect {
 public:
  explicit OpenAi(const openai::Ways& ways) : ways_(ways) {}

  std::string url(const ChatRequest& request, std::string_view model,
                  const Manner& manner) const override {
    const std::string_view path =
        request.endpoint == Endpoint::chat ? "chat/completions" : name_of(request.endpoint);
    if (needs_beta(request)) return openai::beta_url_of(manner.base_url, ways_.beta, path);
    return openai::url_of(manner.base_url, path, model, manner.api_version);
  }

  std::vector<std::string> headers(const std::string& key) const override {
    if (key.empty()) return {};
    return {std::string(ways_.key_header) + key};
  }

  Result<std::string> request_body(const ChatRequest& request, std::string_view model,
                                   const Manner& manner) const override {
    if (request.original && !request.original->only.empty()) {
      return Error{Errc::unsupported,
                   request.original->only + " can be taken only by a provider that speaks " +
                       request.original->protocol,
                   "", std::nullopt};
    }
    return openai::request_body(request, model, ways_, manner);
  }

  std::unique_ptr<AnswerReader> reader(const ChatRequest& request) const override {
    if (writes(request.endpoint)) return std::make_unique<OpenAiReader>();
    return std::make_unique<ObjectReader>();
  }

  std::string_view answer_name() const override { return "a chat completion"; }
  std::string_view last_event() const override { return "[DONE]"; }

  std::string_view name() const { return ways_.name; }

 private:
  // A client may ask for a prefix in its last message, too.
  bool needs_beta(const ChatRequest& request) const {
    if (ways_.beta.empty() || !writes(request.endpoint)) return false;
    if (request.endpoint == Endpoint::completions || !request.begun.empty()) return true;
    return has(request.needs, Need::prefix);
  }

  const openai::Ways& ways_;
};

std::vector<OpenAi> all_of_openai() {
  std::vector<OpenAi> all;
  for (const openai::Ways& ways : openai::all_ways()) all.emplace_back(ways);
  return all;
}

}  // namespace

const Dialect* dialect_named(std::string_view name) {
  static const std::vector<OpenAi> kOpenAis = all_of_openai();
  if (name == "anthropic") return &anthropic::dialect();
  for (const OpenAi& dialect : kOpenAis) {
    if (dialect.name() == name) return &dialect;
  }
  return nullptr;
}

}  // namespace spillway::cloud
