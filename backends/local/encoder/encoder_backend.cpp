#include "backends/local/encoder/encoder_backend.h"

#include "backends/contract/bridge.h"
#include "backends/contract/openai_fields.h"
#include "backends/local/encoder/embedding_request.h"

#include <boost/asio/this_coro.hpp>

#include <cmath>
#include <numeric>
#include <utility>

namespace spillway::local {
namespace {

constexpr std::size_t kDeltas = 2;

Error unsupported(std::string message, std::string param) {
  return {Errc::unsupported, std::move(message), std::move(param), std::nullopt};
}

// What is left of it has length 1 again.
void shorten(Embedding& embedding, std::size_t dimensions) {
  embedding.resize(dimensions);
  const double square =
      std::inner_product(embedding.begin(), embedding.end(), embedding.begin(), 0.0);
  if (square == 0.0) return;
  for (float& number : embedding) number = static_cast<float>(number / std::sqrt(square));
}

Delta answer_of(std::vector<Embedding> embeddings, const std::string& model, int tokens,
                const std::optional<std::size_t>& dimensions) {
  for (Embedding& one : embeddings) {
    if (dimensions && *dimensions < one.size()) shorten(one, *dimensions);
  }
  Delta delta;
  delta.object = embedding_answer(embeddings, model, tokens);
  delta.finish = FinishReason::stop;
  delta.usage = Usage{.prompt_tokens = tokens};
  return delta;
}

}  // namespace

std::vector<std::string> EncoderBackend::left_out(const ChatRequest& request) const {
  return unread_fields(request.body);
}

Async<std::unique_ptr<TokenStream>> EncoderBackend::open(std::shared_ptr<const ChatRequest> request,
                                                         Terms terms) {
  if (request->endpoint != Endpoint::embeddings)
    co_return unsupported("This model makes embeddings, and nothing else.", "model");
  for (const std::string& field : unread_fields(request->body)) {
    if (is_embedded(request->endpoint, field))
      co_return unsupported("This model embeds nothing but 'input'.", field);
  }
  auto asked = read_embedding_request(request->body, text_);
  if (!asked) co_return asked.error();
  const auto possible = check_dimensions(asked->dimensions);
  if (!possible) co_return possible.error();

  auto consumer = co_await boost::asio::this_coro::executor;
  auto bridge = std::make_shared<Bridge>(std::move(consumer), kDeltas, [] {});
  EncoderThread::Job job;  // Who leaves before the answer owes nothing: it is dropped.
  job.lane = terms.lane;
  job.owner = std::move(terms.tenant);
  job.inputs = std::move(asked->inputs);
  job.abandoned = [bridge] { return bridge->abandoned(); };
  job.answer = [bridge, model = std::move(terms.model), tokens = asked->tokens,
                dimensions = asked->dimensions](Result<std::vector<Embedding>> embeddings) {
    if (!embeddings) return bridge->fail(embeddings.error());
    bridge->push(answer_of(std::move(*embeddings), model, tokens, dimensions));
    bridge->finish();
  };
  const auto taken = thread_.ask(std::move(job));
  if (!taken) co_return taken.error();
  co_return stream_over(std::move(bridge), std::move(request));
}

Result<void> EncoderBackend::check_dimensions(const std::optional<std::size_t>& dimensions) const {
  if (!dimensions || *dimensions == vectors_.width) return {};
  const std::string width = std::to_string(vectors_.width);
  if (!vectors_.shortens)
    return unsupported("This model's embeddings have " + width + " dimensions, and no fewer.",
                       "dimensions");
  if (*dimensions < vectors_.width) return {};
  return unsupported("This model's embeddings have at most " + width + " dimensions.",
                     "dimensions");
}

}  // namespace spillway::local
