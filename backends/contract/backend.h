// Who can answer a prompt. The local engine and each provider implement Backend; the gateway knows
// nothing else of them.
//
// Called from any worker thread; a TokenStream belongs to the coroutine that opened it and stays on
// its thread. Dropping a TokenStream cancels the work behind it at once (the sequence leaves the
// batch at the next step, the connection to the provider is closed). Backends neither log nor count
// requests: they return what happened.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/deadline.h"
#include "backends/contract/error.h"
#include "backends/contract/rate_left.h"
#include "backends/contract/status.h"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

template <class T>
using Async = boost::asio::awaitable<Result<T>>;

class TokenStream {
 public:
  virtual ~TokenStream() = default;

  // The next piece, or nullopt after the last one. An error ends the stream: backend_unavailable
  // (provider failed, with the cause in `message`), deadline_exceeded, cancelled (the awaiting
  // coroutine was cancelled), overloaded.
  virtual Async<std::optional<Delta>> next(Deadline deadline) = 0;

  // Once nobody waits for the answer: the next piece of what the target has sent already, or
  // nullopt. Waits only where it was kept from sending more, and then a moment.
  virtual Async<std::optional<Delta>> left() { co_return std::optional<Delta>(); }

  // True if `next` would answer without waiting: what lets several pieces share one write to the
  // client.
  virtual bool ready() = 0;

  // The target has the request and has not refused it: who bills may bill it, whatever came back.
  virtual bool at_work() const = 0;

  // Of an answer that comes as a whole, and of which `next` has told nothing yet: as many bytes as
  // there are of what a model wrote.
  virtual std::size_t bytes_written() const { return 0; }

  // What its answer said is left of the account's limits, once it has begun; empty of who has none.
  virtual RateLeft rate_left() const { return {}; }
};

// How a request is to be answered.
struct Terms {
  std::string model;  // The backend's own name for it.
  Deadline deadline{};
  Lane lane = Lane::foreground;  // What the local engine serves first.
  std::string tenant;            // Whose prompts it may be compared with.
  bool is_last = false;          // Nobody else can be asked: it may be silent until the deadline.
};

class BatchDesk;

class Backend {
 public:
  virtual ~Backend() = default;

  // The target's name in the configuration ("local", "ai-hub").
  virtual const std::string& name() const = 0;

  // What of `request` it would not be told, by the names of its fields: no answer hangs on them, as
  // far as anybody here knows.
  virtual std::vector<std::string> left_out(const ChatRequest& request) const {
    std::vector<std::string> names = request.hints;
    names.insert(names.end(), request.unknown.begin(), request.unknown.end());
    return names;
  }

  // Its batches API; null where it has none, or none is to be used. As long-lived as the backend.
  virtual BatchDesk* batch_desk() { return nullptr; }

  // Begins to answer `request`. Returns as soon as the work is
  // handed over; what the provider or engine says comes from the stream. Refuses at once with
  // rate_limited or overloaded when full, with context_too_long or invalid_request when this
  // backend can never answer it. Requires: `request` stays unchanged; it is kept alive by the
  // stream.
  virtual Async<std::unique_ptr<TokenStream>> open(std::shared_ptr<const ChatRequest> request,
                                                   Terms terms) = 0;
};

}  // namespace spillway
