#include "backends/cloud/cloud_backend.h"

#include "backends/cloud/batch_desk.h"
#include "backends/cloud/transfer_loop.h"

#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <stdexcept>
#include <utility>

namespace spillway::cloud {
namespace net = boost::asio;

namespace {

constexpr std::size_t kBridgeCapacity = 64;  // Deltas: about what one read from a socket brings.
constexpr std::chrono::milliseconds kPlaceSoon{10};
constexpr int kAskedOfBatches = 64;  // At once, beside live requests.

std::shared_ptr<Upstream> upstream_of(const config::ProviderTarget& target,
                                      const std::string& base) {
  const Dialect* dialect = dialect_named(target.dialect);
  if (dialect == nullptr) {
    throw std::invalid_argument(target.name + ": there is no dialect '" + target.dialect + "'");
  }
  if (!base.starts_with("http://") && !base.starts_with("https://")) {
    throw std::invalid_argument(target.name + ": base_url must begin with http:// or https://");
  }
  auto upstream = std::make_shared<Upstream>();
  upstream->teller = Teller{target.name, target.key};
  upstream->dialect = dialect;
  upstream->manner = {base, target.api_version, target.forward_fields, target.takes,
                      target.continues};
  upstream->ca_file = target.ca_file;
  upstream->timeouts = target.timeouts;
  upstream->ttft = target.measured.ttft_p50;
  upstream->tokens_per_second = target.measured.tokens_per_second;
  upstream->concurrency_max = target.concurrency_max;
  upstream->idle.push_back(Transfer::make_handle(*upstream));  // What fails here fails at start-up.
  return upstream;
}

std::unique_ptr<BatchDesk> desk_of(const config::ProviderTarget& target,
                                   const std::string& base_url, TransferLoop& loop) {
  if (target.dialect != "openai") return nullptr;  // What is there comes back, enabled or not.
  auto upstream = upstream_of(target, base_url);
  upstream->concurrency_max = kAskedOfBatches;
  return make_batch_desk(std::move(upstream), loop);
}

class CloudBackend final : public Backend {
 public:
  CloudBackend(const config::ProviderTarget& target, const std::string& base_url,
               TransferLoop& loop)
      : name_(target.name),
        upstream_(upstream_of(target, base_url)),
        desk_(desk_of(target, base_url, loop)),
        loop_(loop) {}

  const std::string& name() const override { return name_; }

  std::vector<std::string> left_out(const ChatRequest& request) const override {
    return upstream_->dialect->left_out(request, upstream_->manner);
  }

  BatchDesk* batch_desk() override { return desk_.get(); }

  // The deadline is kept by the stream's consumer, who drops it when it passes.
  Async<std::unique_ptr<TokenStream>> open(std::shared_ptr<const ChatRequest> request,
                                           Terms terms) override {
    const auto consumer = co_await net::this_coro::executor;
    co_return begin(std::move(request), terms, consumer);
  }

 private:
  Result<std::unique_ptr<TokenStream>> begin(std::shared_ptr<const ChatRequest> request,
                                             const Terms& terms,
                                             const net::any_io_executor& consumer) {
    auto place = Place::take(upstream_);
    if (!place) {
      return Error{Errc::overloaded, name_ + ": as many requests as it may take are under way", "",
                   kPlaceSoon};
    }
    auto body = upstream_->dialect->request_body(*request, terms.model, upstream_->manner);
    if (!body) return body.error();

    const TransferId id = loop_.next_id();
    auto look = [inbox = loop_.inbox(), id] { inbox->look_at(id); };
    auto bridge = std::make_shared<Bridge>(consumer, kBridgeCapacity, std::move(look));
    TransferPlan plan{
        id,
        upstream_,
        {upstream_->dialect->url(*request, terms.model, upstream_->manner), std::move(*body),
         upstream_->dialect->headers_of(*request, upstream_->manner)},
        request->endpoint,
        upstream_->dialect->reader(*request),
        request->stream,
        request->sampling.tokens_max,
        request->at_batch_rate || terms.is_last};
    auto transfer = std::make_unique<Transfer>(std::move(plan), bridge, std::move(*place));
    if (!loop_.inbox()->start(std::move(transfer))) {
      return unavailable(upstream_->teller, "the gateway is stopping");
    }
    return stream_over(std::move(bridge), std::move(request));
  }

  const std::string name_;
  const std::shared_ptr<Upstream> upstream_;
  const std::unique_ptr<BatchDesk> desk_;  // Null where its batches are not used.
  TransferLoop& loop_;
};

}  // namespace

std::unique_ptr<Backend> make_cloud_backend(const config::ProviderTarget& target,
                                            CloudThread& thread, std::size_t server) {
  return std::make_unique<CloudBackend>(target, target.base_urls.at(server), thread.loop());
}

}  // namespace spillway::cloud
