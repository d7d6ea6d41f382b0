#include "backends/local/local_backend.h"

#include "backends/contract/only_there.h"
#include "backends/local/answer/told_stream.h"
#include "backends/local/engine/executor.h"
#include "backends/local/engine/in_process_engine.h"
#include "backends/local/engine/room_observer.h"
#include "backends/local/engine/text_codec.h"
#include "backends/local/grammar/call_form.h"
#include "backends/local/grammar/size_check.h"
#include "backends/local/prompt_cache.h"
#include "backends/local/scored_stream.h"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace spillway::local {
namespace net = boost::asio;

namespace {

// The field of a request that has its prompt.
std::string source_of(const ChatRequest& request) {
  return request.endpoint == Endpoint::chat ? "messages" : "prompt";
}

Error too_long(int prompt_tokens, int completion_tokens, int context_max, std::string source) {
  return {Errc::context_too_long,
          "This model takes at most " + std::to_string(context_max) + " tokens, but the " + source +
              " has " + std::to_string(prompt_tokens) + " and the completion asks for " +
              std::to_string(completion_tokens) + ". Shorten it or lower max_tokens.",
          std::move(source), std::nullopt};
}

Error too_long(int context_max, std::string source) {
  return {Errc::context_too_long,
          "This model takes at most " + std::to_string(context_max) + " tokens, but the " + source +
              " has more. Shorten it.",
          std::move(source), std::nullopt};
}

Error no_tokens(std::string source) {
  std::string message = "The " + source + " has no tokens: there is nothing to go on from.";
  return {Errc::invalid_request, std::move(message), std::move(source), std::nullopt};
}

Error not_text() {
  return {Errc::invalid_request, "This model takes text only, and writes nothing else.", "messages",
          std::nullopt};
}

Error no_functions() {
  return {Errc::unsupported, "This model calls nothing but functions, of 'tools'.", "tools",
          std::nullopt};
}

// Those that the answer may call; null: none.
const Tools* callable_tools(const ChatRequest& request) {
  return request.tools && !request.tools->functions.empty() ? request.tools.get() : nullptr;
}

answer::Expected expected_of(const ChatRequest& request, const answer::AnswerStyle& style) {
  answer::Expected expected;
  if (request.endpoint != Endpoint::chat) return expected;
  expected.is_begun = !request.begun.empty();
  expected.thoughts = style.thinks && !expected.is_begun;
  const Tools* tools = callable_tools(request);
  if (tools == nullptr) return expected;
  expected.calls = style.calls;
  for (const Function& function : tools->functions) expected.functions.push_back(function.name);
  return expected;
}

// Each choice tells them all.
Result<void> check_prompt_logprobs(const ChatRequest& request,
                                   const std::vector<std::vector<std::int32_t>>& prompts) {
  constexpr int kLikeliestMax = 20;  // vLLM's, unless told otherwise.
  constexpr std::size_t kToldMax = 1 << 20;
  const auto likeliest = request.sampling.prompt_logprobs;
  if (!likeliest) return {};
  if (*likeliest < 0 || *likeliest > kLikeliestMax) {
    return Error{Errc::unsupported, "This model tells 0 to 20 of the likeliest.", "prompt_logprobs",
                 std::nullopt};
  }
  std::size_t tokens = 0;
  for (const auto& prompt : prompts) tokens += prompt.size();
  const bool of_choices = request.endpoint == Endpoint::completions;
  const std::size_t choices = of_choices ? static_cast<std::size_t>(request.choices) : 1;
  if (tokens * choices / prompts.size() * static_cast<std::size_t>(1 + *likeliest) <= kToldMax)
    return {};
  return Error{Errc::invalid_request, "That would be more than a million logprobs: ask for fewer.",
               "prompt_logprobs", std::nullopt};
}

Error no_such_token(std::int32_t token, std::string param) {
  return {Errc::invalid_request, "This model has no token " + std::to_string(token) + ".",
          std::move(param), std::nullopt};
}

std::vector<std::unique_ptr<Executor>> alone(std::unique_ptr<Executor> executor) {
  std::vector<std::unique_ptr<Executor>> executors;
  executors.push_back(std::move(executor));
  return executors;
}

}  // namespace

LocalBackend::LocalBackend(const config::LocalTarget& target, std::unique_ptr<TextCodec> codec,
                           std::unique_ptr<Executor> executor, Calibrate calibrate)
    : name_(target.name),
      codec_(std::move(codec)),
      prompts_(std::make_unique<PromptCache>()),
      engine_(start_engines(target, *codec_, alone(std::move(executor)), calibrate, {}, {}, {})) {}

LocalBackend::LocalBackend(std::string name, std::unique_ptr<TextCodec> codec,
                           std::unique_ptr<EngineDoor> engine)
    : name_(std::move(name)),
      codec_(std::move(codec)),
      prompts_(std::make_unique<PromptCache>()),
      engine_(std::move(engine)) {}

LocalBackend::~LocalBackend() = default;

const std::string& LocalBackend::name() const { return name_; }

Async<std::unique_ptr<TokenStream>> LocalBackend::open(std::shared_ptr<const ChatRequest> request,
                                                       Terms terms) {
  auto prompts = encode(request);
  if (!prompts) co_return prompts.error();

  const bool is_thinking = ends_in_thought(*request, (*prompts)->front());
  const bool may_call = callable_tools(*request) != nullptr;
  Result<std::shared_ptr<const Form>> form = request->form;
  if (may_call) form = grammar::call_form(*request, codec_->style(), is_thinking);
  if (!form) co_return form.error();

  Ask ask;
  ask.prompts = *prompts;
  ask.sampling = with_defaults(request->sampling, codec_->sampling());
  ask.lane = terms.lane;
  ask.owner = std::move(terms.tenant);
  ask.form = *form;
  if (ask.form) ask.begun = request->begun;
  ask.tokens_max =
      std::max(1, completion_tokens_max(*request, static_cast<int>((*prompts)->front().size())));
  ask.choices = request->choices / static_cast<int>((*prompts)->size());
  auto consumer = co_await net::this_coro::executor;
  auto bridge = engine_->submit(std::move(ask), std::move(consumer));
  if (!bridge) co_return bridge.error();
  const bool held_to_its_own = request->form && *form == request->form;
  answer::Expected expected;
  if (!held_to_its_own) expected = expected_of(*request, codec_->style());
  expected.is_thinking = is_thinking;
  auto text = stream_over(std::move(*bridge), request);
  const Sampling& asked = request->sampling;
  if (asked.logprobs || asked.prompt_logprobs || has(request->needs, Need::echo))
    text = with_logprobs(std::move(text), *codec_, std::move(*prompts), std::move(request));
  if (!expected.anything()) co_return text;
  co_return answer::told_apart(std::move(text), expected);
}

// The prompt may have begun the thought that an answer starts with.
bool LocalBackend::ends_in_thought(const ChatRequest& request,
                                   const std::vector<std::int32_t>& prompt) const {
  constexpr std::size_t kTokens = 8;
  if (!codec_->style().thinks || request.endpoint != Endpoint::chat || !request.begun.empty())
    return false;
  const auto stream = codec_->open_stream();
  std::string end;
  for (std::size_t at = prompt.size() - std::min(prompt.size(), kTokens); at < prompt.size(); ++at)
    end += stream->push(prompt[at]);
  return answer::is_thinking(end);
}

Result<Prompts> LocalBackend::encode(const std::shared_ptr<const ChatRequest>& request) {
  if (auto known = prompts_->find(request)) return std::move(*known);
  if (request->needs != Need::nothing &&
      without(request->needs, engine_->status().takes()) != Need::nothing)
    return not_text();
  if (const auto error = only_there(*request)) return *error;
  if (has(request->needs, Need::tools) && !request->tools) return no_functions();
  if (request->form) {
    if (const auto fits = grammar::check_size(*request->form); !fits) return fits.error();
  }
  if (auto known = check_tokens(request->sampling); !known) return known.error();
  auto prompts = read_prompts(*request);
  prompts_->keep(request, prompts);
  return prompts;
}

Result<Prompts> LocalBackend::read_prompts(const ChatRequest& request) const {
  auto written = written_prompts_of(request);
  if (!written && written.error().code == Errc::context_too_long)
    return too_long(engine_->context_max(), source_of(request));
  if (!written) return written.error();
  for (const auto& prompt : *written) {
    if (const auto checked = check_prompt(request, prompt); !checked) return checked.error();
  }
  if (auto tellable = check_prompt_logprobs(request, *written); !tellable) return tellable.error();
  return std::make_shared<const std::vector<std::vector<std::int32_t>>>(std::move(*written));
}

// Words of the tokenizer, too, may have no row in the model.
Result<void> LocalBackend::check_prompt(const ChatRequest& request,
                                        const std::vector<std::int32_t>& prompt) const {
  if (prompt.empty()) return no_tokens(source_of(request));
  for (const std::int32_t token : prompt) {
    if (!is_token(token)) return no_such_token(token, source_of(request));
  }
  const int asked = std::max(1, request.sampling.tokens_max.value_or(1));
  const int prompt_tokens = static_cast<int>(prompt.size());
  if (std::int64_t{prompt_tokens} + asked > engine_->context_max())
    return too_long(prompt_tokens, asked, engine_->context_max(), source_of(request));
  return {};
}

bool LocalBackend::is_token(std::int32_t id) const {
  return id >= 0 && id < codec_->vocabulary_size();
}

Result<void> LocalBackend::check_tokens(const Sampling& sampling) const {
  for (const std::int32_t token : sampling.stop_tokens) {
    if (!is_token(token)) return no_such_token(token, "stop_token_ids");
  }
  for (const TokenBias& bias : sampling.bias) {
    if (!is_token(bias.token)) return no_such_token(bias.token, "logit_bias");
  }
  return {};
}

int LocalBackend::cached_tokens(std::string_view tenant, const Prompts& prompts) const {
  int tokens = 0;
  for (const auto& prompt : *prompts) tokens += engine_->cached_tokens(tenant, prompt);
  return tokens;
}

Result<std::vector<std::vector<std::int32_t>>> LocalBackend::written_prompts_of(
    const ChatRequest& request) const {
  std::vector<std::vector<std::int32_t>> prompts;
  if (request.endpoint == Endpoint::chat) {
    auto tokens = codec_->encode(request.messages, callable_tools(request), request.begun,
                                 engine_->context_max());
    if (!tokens) return tokens.error();
    prompts.push_back(std::move(*tokens));
    return prompts;
  }
  if (request.endpoint != Endpoint::completions) return not_text();
  for (const WrittenPrompt& written : request.prompts) {
    std::vector<std::int32_t>& tokens = prompts.emplace_back(written.tokens);
    if (!tokens.empty() && request.begun.empty()) continue;
    const auto text = codec_->encode_text(written.text + request.begun, engine_->context_max());
    if (!text) return text.error();
    tokens.insert(tokens.end(), text->begin(), text->end());
  }
  return prompts;
}

Result<std::string> LocalBackend::detokenize(const std::vector<std::int32_t>& tokens) const {
  const auto stream = codec_->open_stream();
  std::string text;
  for (const std::int32_t token : tokens) {
    if (!is_token(token)) return no_such_token(token, "tokens");
    text += stream->push(token);
  }
  return text + stream->finish();
}

int LocalBackend::completion_tokens_max(const ChatRequest& request, int prompt_tokens) const {
  return request.sampling.tokens_max.value_or(engine_->context_max() - prompt_tokens);
}

EngineStatus LocalBackend::status() const { return engine_->status(); }

EngineCounters LocalBackend::counters() const { return engine_->counters(); }

void LocalBackend::stop(Deadline drain_until) { engine_->stop(drain_until); }

}  // namespace spillway::local
