#include "backends/cloud/dialects/anthropic.h"

#include <algorithm>

namespace spillway::cloud::anthropic {
namespace {

constexpr std::string_view kVersion = "2023-06-01";
constexpr std::string_view kBeta = "anthropic-beta";

// What buys longer prompts for more than their price, unless the operator names it.
constexpr std::string_view kDearerBeta = "context-1m";

std::string beta_line(const ChatRequest& request, const Manner& manner) {
  const auto& named = manner.forward_fields;
  const bool all = std::find(named.begin(), named.end(), kBeta) != named.end();
  std::string line;
  for (const std::string& beta : request.original->betas) {
    if (all || !beta.starts_with(kDearerBeta)) line += (line.empty() ? "" : ",") + beta;
  }
  return line;
}

class Anthropic final : public Dialect {
 public:
  std::string url(const ChatRequest&, std::string_view, const Manner& manner) const override {
    return manner.base_url + (manner.base_url.ends_with('/') ? "" : "/") + "messages";
  }

  std::vector<std::string> headers(const std::string& key) const override {
    if (key.empty()) return {};
    return {"x-api-key: " + key};
  }

  // What its client says of the body goes with the body.
  std::vector<std::string> headers_of(const ChatRequest& request,
                                      const Manner& manner) const override {
    const bool said = anthropic::is_forwarded(request);
    const std::string version = said ? request.original->version : "";
    std::vector<std::string> lines = {"anthropic-version: " +
                                      (version.empty() ? std::string(kVersion) : version)};
    const std::string betas = said ? beta_line(request, manner) : "";
    if (!betas.empty()) lines.push_back(std::string(kBeta) + ": " + betas);
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
