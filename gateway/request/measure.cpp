#include "gateway/request/measure.h"

#include "backends/contract/name_hash.h"
#include "gateway/request/call.h"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>

namespace spillway {
namespace {

constexpr std::chrono::milliseconds kQuietMin{100};
constexpr std::array<std::string_view, 2> kTimeoutHeaders = {"x-stainless-read-timeout",
                                                             "x-stainless-timeout"};
constexpr int kBytesPerToken = 4;
constexpr int kTokensPerMessage = 4;
constexpr int kLongTokens = 16 << 10;
constexpr int kTokensPerPart = 1'000;  // Of a picture, a sound, a file: usually.
constexpr double kClientTimeoutMaxSeconds = 24 * 3600.0;
constexpr std::chrono::milliseconds kOwnLimitMax = std::chrono::hours(24);

Error unreadable(std::string_view name, const std::string& wanted) {
  return {Errc::invalid_request, std::string(name) + " must be " + wanted + ".", std::string(name),
          std::nullopt};
}

// A request's own promise; nothing where it brings none.
Result<std::optional<std::chrono::milliseconds>> own_limit(const http::Request& raw,
                                                           std::string_view name) {
  const std::string_view text = raw.header(name);
  if (text.empty()) return std::optional<std::chrono::milliseconds>();
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || count <= 0 || count > kOwnLimitMax.count())
    return unreadable(name, "a whole number of milliseconds, from 1 to " +
                                std::to_string(kOwnLimitMax.count()) + ": 1500, not 1.5s");
  return std::optional(std::chrono::milliseconds(count));
}

Result<bool> own_choice(const http::Request& raw, std::string_view name) {
  std::string text(raw.header(name));
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (text == "true" || text == "1" || text == "yes") return true;
  if (text.empty() || text == "false" || text == "0" || text == "no") return false;
  return unreadable(name, "true or false");
}

int tokens_in(std::size_t bytes) {
  return static_cast<int>((bytes + kBytesPerToken - 1) / kBytesPerToken);
}

// Of what is read beside the words of the messages.
int tokens_beside(const ChatRequest& request) {
  return tokens_in(request.beside_bytes) + (request.media - request.documents) * kTokensPerPart;
}

// By the local engine; nothing if it may not be asked or cannot read all of it.
boost::asio::awaitable<std::optional<PromptTokens>> counted(
    const Edition& edition, LocalTarget* local, std::shared_ptr<const ChatRequest> request,
    std::string tenant) {
  if (local == nullptr || !edition.may_be_local(request->model)) co_return std::nullopt;
  const auto tokens = co_await local->prompt_tokens(std::move(request), std::move(tenant));
  if (!tokens) co_return std::nullopt;
  co_return *tokens;
}

}  // namespace

Result<policy::RequestFacts> facts_of(const http::Request& raw, const policy::Caller& caller,
                                      const ChatRequest& request, account::Pool pool) {
  const auto local_only = own_choice(raw, "x-spillway-local-only");
  if (!local_only) return local_only.error();
  const auto ttft_max = own_limit(raw, "x-spillway-ttft-ms");
  if (!ttft_max) return ttft_max.error();
  const auto deadline = own_limit(raw, "x-spillway-deadline-ms");
  if (!deadline) return deadline.error();
  policy::RequestFacts facts;
  facts.model = request.model;
  facts.service_tier = request.service_tier;
  facts.endpoint = raw.path;
  facts.class_header = raw.header("x-spillway-class");
  facts.label = raw.header("x-spillway-label");
  facts.streaming = request.stream;
  facts.key = caller.key;
  facts.draw = hash_of_name(raw.id);
  facts.local_only = *local_only;
  facts.in_a_batch = pool == account::Pool::batches;
  facts.completion_tokens_max = request.sampling.tokens_max;
  facts.arrived = raw.arrived;
  facts.ttft_max = *ttft_max;
  facts.deadline = *deadline;
  facts.asks = request.endpoint;
  facts.choices = request.answers();
  facts.search_units = request.search_units;
  if (!writes(request.endpoint)) facts.completion_tokens_max = 0;
  facts.prompt_tokens = estimated_prompt_tokens(request);
  facts.needs = request.needs;
  facts.beyond = request.beyond;
  // For a stream the SDKs' read timeout is the longest silence they bear, not the time for all of
  // it.
  (request.stream ? facts.silence_max : facts.client_timeout) = client_timeout(raw);
  return facts;
}

int estimated_prompt_tokens(const ChatRequest& request) {
  int tokens = 0;
  for (const WrittenPrompt& prompt : request.prompts)
    tokens += static_cast<int>(prompt.tokens.size()) + tokens_in(prompt.text.size());
  for (const Message& message : request.messages)
    tokens += kTokensPerMessage + tokens_in(message.content.size());
  return tokens + tokens_beside(request);
}

bool is_long(const ChatRequest& request) { return estimated_prompt_tokens(request) > kLongTokens; }

Async<int> prompt_tokens(const Edition& edition, LocalTarget* local,
                         std::shared_ptr<const ChatRequest> request, std::string tenant) {
  const auto tokens = co_await counted(edition, local, request, std::move(tenant));
  if (tokens) co_return tokens->all;
  co_return estimated_prompt_tokens(*request) + tokens_in(request->form_bytes);
}

boost::asio::awaitable<void> measure(const Edition& edition, LocalTarget* local,
                                     std::shared_ptr<const ChatRequest> request, std::string tenant,
                                     policy::RequestFacts& facts) {
  const auto tokens = co_await counted(edition, local, request, tenant);
  facts.prompt_tokens = tokens ? tokens->all : estimated_prompt_tokens(*request);
  facts.longest_prompt = tokens ? tokens->longest : 0;
  facts.form_tokens = tokens_in(request->form_bytes);
  facts.cached_tokens = tokens ? local->cached_tokens(request, tenant) : 0;
}

Async<std::shared_ptr<const ChatRequest>> with_files(std::shared_ptr<const ChatRequest> request,
                                                     const policy::Caller& caller,
                                                     wire::FileShelf& files,
                                                     policy::RequestFacts& facts) {
  const wire::Reader reader = reader_of(caller);
  auto filled = co_await wire::with_files(request, reader, files);
  if (filled)
    facts.prompt_tokens += estimated_prompt_tokens(**filled) - estimated_prompt_tokens(*request);
  co_return filled;
}

boost::asio::awaitable<bool> client_left() {
  const auto state = co_await boost::asio::this_coro::cancellation_state;
  co_return state.cancelled() != boost::asio::cancellation_type::none;
}

// What the SDKs send of their own read timeout: seconds, perhaps with a fraction. Nonsense counts
// as absent.
std::optional<std::chrono::milliseconds> client_timeout(const http::Request& raw) {
  std::string_view text;
  for (const std::string_view name : kTimeoutHeaders) {
    if (text.empty()) text = raw.header(name);
  }
  double seconds = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(seconds) || seconds <= 0.0 || seconds > kClientTimeoutMaxSeconds)
    return std::nullopt;
  return std::chrono::milliseconds(std::lround(seconds * 1000.0));
}

void forget_client_timeout(http::Request& raw) {
  std::erase_if(raw.headers, [](const http::Header& header) {
    return std::find(kTimeoutHeaders.begin(), kTimeoutHeaders.end(), header.name) !=
           kTimeoutHeaders.end();
  });
}

std::chrono::milliseconds quiet_for(const std::optional<std::chrono::milliseconds>& silence_max,
                                    const config::Settings& settings) {
  const auto usual = settings.server.limits.keep_alive;
  if (!silence_max) return usual;
  return std::min(usual, std::max(*silence_max / 2, kQuietMin));
}

std::chrono::milliseconds time_for(const policy::Plan& plan) {
  const auto usual = plan.settings->server.limits.request_timeout;
  if (plan.request_class->sla.deadline) return *plan.sla.deadline;
  return std::min(usual, plan.sla.deadline.value_or(usual));
}

}  // namespace spillway
