#include "gateway/api/tokens.h"

#include "gateway/openai/token_text.h"
#include "gateway/policy/auth.h"
#include "gateway/request/refusal.h"

#include <algorithm>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

net::awaitable<void> tell(const Result<std::string>& answer, http::ResponseWriter& out) {
  if (!answer) co_return co_await refuse(answer.error(), out);
  (void)co_await out.send(200, "application/json", *answer);
}

// Who may send prompts may count them.
Result<void> check_scope(const Visitor& visitor, const http::Request& raw) {
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    if (policy::check_scope(visitor.caller, path)) return {};
  }
  return Error{.code = Errc::forbidden,
               .message = "This key may not call " + raw.path +
                          ": neither chat nor completions is in its scopes."};
}

// An alias may always come to the local model.
bool may_be_local(const config::Settings& settings, const std::string& model) {
  const auto has = [&](const auto& named) {
    return std::any_of(named.begin(), named.end(),
                       [&](const auto& one) { return one.name == model; });
  };
  return has(settings.policy.aliases) || has(settings.local.front().serves);
}

// Whose tokens are asked for: the local model's where none is named, and of no other's.
Result<void> check_model(const Visitor& visitor, const std::string& model) {
  if (model.empty()) return {};
  const auto known = visitor.check_model(model);
  if (!known || may_be_local(*visitor.edition->settings, model)) return known;
  return Error{.code = Errc::invalid_request,
               .message = "The tokens of `" + model +
                          "` are not known here: only those of the model on this machine are.",
               .param = "model"};
}

}  // namespace

net::awaitable<void> Tokens::tokenize(http::Request raw, http::ResponseWriter& out) const {
  const auto answer = co_await tokens_of(raw, out);
  co_await tell(answer, out);
}

net::awaitable<void> Tokens::detokenize(http::Request raw, http::ResponseWriter& out) const {
  const auto answer = text_of(raw, out);
  co_await tell(answer, out);
}

Result<LocalTarget*> Tokens::local() const {
  if (LocalTarget* const local = pipeline_->doors().local) return local;
  return Error{Errc::model_not_found, "no model is served on this machine", "model", std::nullopt};
}

Async<std::string> Tokens::tokens_of(http::Request& raw, http::ResponseWriter& out) const {
  const auto visitor = reception_.admit(raw, out);
  if (!visitor) co_return visitor.error();
  const auto in_scope = check_scope(*visitor, raw);
  if (!in_scope) co_return in_scope.error();
  const auto local = this->local();
  if (!local) co_return local.error();
  auto request = openai::parse_tokenize(std::move(raw.body));
  if (!request) co_return request.error();
  const auto known = check_model(*visitor, (*request)->model);
  if (!known) co_return known.error();
  const auto tokens = co_await (*local)->prompt(*request, visitor->tenant);
  if (!tokens) co_return tokens.error();
  co_return openai::tokenize_answer(*tokens, (*local)->status().context_max);
}

Result<std::string> Tokens::text_of(const http::Request& raw, http::ResponseWriter& out) const {
  const auto visitor = reception_.admit(raw, out);
  if (!visitor) return visitor.error();
  const auto in_scope = check_scope(*visitor, raw);
  if (!in_scope) return in_scope.error();
  const auto local = this->local();
  if (!local) return local.error();
  const auto asked = openai::parse_detokenize(raw.body);
  if (!asked) return asked.error();
  const auto known = check_model(*visitor, asked->model);
  if (!known) return known.error();
  const auto text = (*local)->detokenize(asked->tokens);
  if (!text) return text.error();
  return openai::detokenize_answer(*text);
}

}  // namespace spillway
