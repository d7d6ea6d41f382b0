#include "backends/cloud/dialects/anthropic.h"

namespace spillway::cloud::anthropic {
namespace {

constexpr std::string_view kVersion = "anthropic-version: 2023-06-01";

class Anthropic final : public Dialect {
 public:
  std::string url(const ChatRequest&, std::string_view, const Manner& manner) const override {
    return manner.base_url + (manner.base_url.ends_with('/') ? "" : "/") + "messages";
  }

  std::vector<std::string> headers(const std::string& key) const override {
    std::vector<std::string> lines = {std::string(kVersion)};
    if (!key.empty()) lines.push_back("x-api-key: " + key);
    return lines;
  }

  Result<std::string> request_body(const ChatRequest& request, std::string_view model,
                                   const Manner& manner) const override {
    return anthropic::request_body(request, model, manner);
  }

  std::unique_ptr<AnswerReader> reader(const ChatRequest& request) const override {
    return anthropic::reader(anthropic::is_forwarded(request));
  }

  std::string_view answer_name() const override { return "a message"; }
  std::string_view last_event() const override { return "message_stop"; }
};

}  // namespace

const Dialect& dialect() {
  static const Anthropic anthropic;
  return anthropic;
}

}  // namespace spillway::cloud::anthropic
