#include "backends/cloud/batch_desk.h"

#include "backends/cloud/dialects/openai_batches.h"
#include "backends/cloud/transfer_loop.h"

#include <boost/asio/this_coro.hpp>

#include <utility>

namespace spillway::cloud {
namespace net = boost::asio;

namespace {

constexpr std::size_t kBridgeCapacity = 64;
constexpr std::size_t kFileBytesMax = 512 << 20;
constexpr int kPagesMax = 50;                  // Of a hundred batches each, the newest first.
constexpr std::int64_t kClocksDiffer = 3'600;  // Seconds; the provider's and ours, at most.

// Any JSON, or a file: as it is, in one piece.
class WholeReader final : public AnswerReader {
 public:
  Parsed event(std::string_view, std::string_view) override { return Parsed::garbage(); }
  Parsed answer(std::string_view body) override {
    Parsed parsed;
    Delta& delta = parsed.deltas.emplace_back();
    delta.object = body;
    delta.finish = FinishReason::stop;
    return parsed;
  }
  std::size_t answer_bytes_max() const override { return kFileBytesMax; }
};

// The answer to one line, which names no tier: all of a batch is served in the cheaper one.
class BatchRateReader final : public AnswerReader {
 public:
  explicit BatchRateReader(std::unique_ptr<AnswerReader> reader) : reader_(std::move(reader)) {}

  Parsed event(std::string_view, std::string_view) override { return Parsed::garbage(); }
  Parsed answer(std::string_view body) override {
    Parsed parsed = reader_->answer(body);
    parsed.at_batch_rate = true;
    if (parsed.usage) parsed.usage->at_batch_rate = true;
    for (Delta& delta : parsed.deltas) delta.at_batch_rate = true;
    return parsed;
  }
  std::size_t answer_bytes_max() const override { return kFileBytesMax; }

 private:
  const std::unique_ptr<AnswerReader> reader_;
};

// Says what is known already, as if the provider had just been asked.
class Answering final : public Backend {
 public:
  Answering(std::shared_ptr<Upstream> upstream, BatchAnswer answer)
      : upstream_(std::move(upstream)), answer_(std::move(answer)) {}

  const std::string& name() const override { return upstream_->teller.provider; }

  std::vector<std::string> left_out(const ChatRequest& request) const override {
    return upstream_->dialect->left_out(request, upstream_->manner);
  }

  Async<std::unique_ptr<TokenStream>> open(std::shared_ptr<const ChatRequest> request,
                                           Terms) override {
    const auto consumer = co_await net::this_coro::executor;
    auto place = Place::take(upstream_);
    if (!place) co_return unavailable(upstream_->teller, "too many answers are read at once");
    auto bridge = std::make_shared<Bridge>(consumer, kBridgeCapacity, [] {});
    auto reader = std::make_unique<BatchRateReader>(upstream_->dialect->reader(*request));
    Reply reply(*upstream_, request->endpoint, std::move(reader), bridge, std::move(*place));
    const std::string status = "HTTP/1.1 " + std::to_string(answer_.status) + " \r\n";
    reply.sent();
    if (reply.take_header(status) && reply.take_header("content-type: application/json\r\n") &&
        reply.take_body(answer_.body))
      reply.end();
    co_return stream_over(std::move(bridge), std::move(request));
  }

 private:
  const std::shared_ptr<Upstream> upstream_;
  const BatchAnswer answer_;
};

class OpenAiDesk final : public BatchDesk {
 public:
  OpenAiDesk(std::shared_ptr<Upstream> upstream, TransferLoop& loop)
      : upstream_(std::move(upstream)), loop_(loop) {}

  Result<BatchLine> line(std::string_view id, const ChatRequest& request,
                         std::string_view model) const override {
    const std::string_view path = openai::batch_path(request.endpoint);
    if (path.empty())
      return Error{Errc::unsupported, "its batches have no such requests", "", std::nullopt};
    const auto body = upstream_->dialect->request_body(request, model, upstream_->manner);
    if (!body) return body.error();
    return BatchLine{openai::batch_line(id, path, *body), std::string(path)};
  }

  Async<std::string> upload(std::string lines, std::string name) override {
    openai::FileForm form = openai::file_form(lines, name);
    HttpRequest request{url("files"), std::move(form.body), {"Content-Type: " + form.content_type}};
    const auto said = co_await ask(std::move(request));
    if (!said) co_return said.error();
    const auto id = openai::file_id(*said);
    if (!id) co_return unavailable(upstream_->teller, "it names no file");
    co_return *id;
  }

  Async<ProviderBatch> create(std::string file, std::string path, std::string label) override {
    HttpRequest request{url("batches"), openai::new_batch(file, path, label)};
    request.is_once = true;
    co_return co_await batch_of(std::move(request));
  }

  Async<std::optional<ProviderBatch>> find(std::string label, std::int64_t since) override {
    std::string after;
    for (int page = 0; page < kPagesMax; ++page) {
      HttpRequest request{url("batches?limit=100" + after), "", {}, Method::get};
      const auto said = co_await ask(std::move(request));
      if (!said) co_return said.error();
      auto batches = openai::batch_page(*said, label);
      if (!batches) co_return unavailable(upstream_->teller, "it names no batches");
      const bool is_before = batches->oldest > 0 && batches->oldest < since - kClocksDiffer;
      if (batches->found || batches->last.empty() || is_before) co_return std::move(batches->found);
      after = "&after=" + batches->last;
    }
    co_return std::optional<ProviderBatch>();
  }

  Async<ProviderBatch> look(std::string id) override {
    HttpRequest request{url("batches/" + id), "", {}, Method::get};
    co_return co_await batch_of(std::move(request));
  }

  Async<ProviderBatch> cancel(std::string id) override {
    HttpRequest request{url("batches/" + id + "/cancel"), ""};
    co_return co_await batch_of(std::move(request));
  }

  Async<std::string> fetch(std::string file) override {
    HttpRequest request{url("files/" + file + "/content"), "", {}, Method::get};
    co_return co_await ask(std::move(request));
  }

  Async<void> remove(std::string file) override {
    HttpRequest request{url("files/" + file), "", {}, Method::del};
    const auto said = co_await ask(std::move(request));
    if (!said) co_return said.error();
    co_return Result<void>();
  }

  std::vector<BatchAnswer> answers(std::string_view text) const override {
    return openai::batch_answers(text);
  }

  std::unique_ptr<Backend> answering(BatchAnswer answer) const override {
    return std::make_unique<Answering>(upstream_, std::move(answer));
  }

 private:
  std::string url(std::string_view path) const {
    return openai::account_url(upstream_->manner.base_url, path);
  }

  Async<ProviderBatch> batch_of(HttpRequest request) {
    const auto said = co_await ask(std::move(request));
    if (!said) co_return said.error();
    auto batch = openai::provider_batch(*said);
    if (!batch) co_return unavailable(upstream_->teller, "it tells nothing of a batch");
    co_return std::move(*batch);
  }

  Async<std::string> ask(HttpRequest request) {
    auto place = Place::take(upstream_);
    if (!place)
      co_return unavailable(upstream_->teller, "too much is asked of its batches at once");
    const auto consumer = co_await net::this_coro::executor;
    const TransferId id = loop_.next_id();
    auto look = [inbox = loop_.inbox(), id] { inbox->look_at(id); };
    auto bridge = std::make_shared<Bridge>(consumer, kBridgeCapacity, std::move(look));
    TransferPlan plan{id,
                      upstream_,
                      std::move(request),
                      Endpoint::embeddings,
                      std::make_unique<WholeReader>(),
                      false,
                      std::nullopt,
                      true};
    auto transfer = std::make_unique<Transfer>(std::move(plan), bridge, std::move(*place));
    if (!loop_.inbox()->start(std::move(transfer)))
      co_return unavailable(upstream_->teller, "the gateway is stopping");
    const auto stream = stream_over(std::move(bridge), nullptr);
    const Deadline deadline = SteadyClock::now() + upstream_->timeouts.total;
    auto piece = co_await stream->next(deadline);
    if (!piece) co_return piece.error();
    if (!*piece) co_return unavailable(upstream_->teller, "it answered nothing");
    co_return std::move((*piece)->object);
  }

  const std::shared_ptr<Upstream> upstream_;
  TransferLoop& loop_;
};

}  // namespace

std::unique_ptr<BatchDesk> make_batch_desk(std::shared_ptr<Upstream> upstream, TransferLoop& loop) {
  return std::make_unique<OpenAiDesk>(std::move(upstream), loop);
}

}  // namespace spillway::cloud
