#include "backends/cloud/dialects/anthropic.h"

#include "backends/cloud/dialects/anthropic_thinking.h"
#include "backends/cloud/dialects/members.h"

#include <algorithm>

namespace spillway::cloud::anthropic {
namespace {

constexpr std::string_view kVersion = "2023-06-01";
constexpr std::string_view kBeta = "anthropic-beta";

// What buys longer prompts for more than their price, unless the operator names it.
constexpr std::string_view kDearerBeta = "context-1m";

bool is_forwarded(const std::string& beta, const Manner& manner) {
  const auto& named = manner.forward_fields;
  return !beta.starts_with(kDearerBeta) ||
         std::find(named.begin(), named.end(), kBeta) != named.end();
}

std::string beta_line(const ChatRequest& request, const Manner& manner) {
  std::string line;
  for (const std::string& beta : request.original->betas) {
    if (is_forwarded(beta, manner)) line += (line.empty() ? "" : ",") + beta;
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

  std::vector<std::string> left_out(const ChatRequest& request,
                                    const Manner& manner) const override {
    if (!anthropic::is_forwarded(request)) return anthropic::left_out(request, manner);
    std::vector<std::string> names;
    const auto& betas = request.original->betas;
    const bool is_told = std::all_of(betas.begin(), betas.end(), [&](const std::string& beta) {
      return is_forwarded(beta, manner);
    });
    if (!is_told) names.emplace_back(kBeta);
    if (has_unsigned_thinking(member_of(request.original->body, "messages")))
      names.emplace_back("messages.thinking");
    return names;
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
