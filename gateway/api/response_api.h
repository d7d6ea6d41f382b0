// /v1/responses and what it keeps: between HTTP and gateway/responses.
//
// Its handlers run on any worker. A response in the background runs as an errand on a thread of its
// own, whether its client stays or not; who wants to read along follows its events (Following).
#pragma once

#include "gateway/api/object_handler.h"
#include "gateway/background/background.h"
#include "gateway/http/routes.h"
#include "gateway/request/errand.h"
#include "gateway/responses/archive.h"
#include "gateway/responses/responses_protocol.h"

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace spillway {

class RunningResponse;

class ResponseApi {
 public:
  // All must outlive it; `speak` answers a client, `errand` whoever asks on its behalf.
  struct Doors {
    const Reception& reception;
    responses::Archive& archive;
    const responses::ResponsesProtocol& protocol;
    http::Handler speak;
    Errand errand;
    std::function<Async<int>(std::shared_ptr<const ChatRequest>, std::string tenant)> count_tokens;
    wire::ReadingRoom& reading;
  };

  explicit ResponseApi(Doors doors);
  ~ResponseApi();  // stop()s.

  // Requires: this outlives the routes.
  void add_to(http::Routes& routes) const;

  bool wait_idle(Deadline deadline) const { return background_->wait_idle(deadline); }

  // What still runs is cancelled, waited for a little, and told so when it is asked for again.
  void stop();

 private:
  using Running = std::shared_ptr<RunningResponse>;
  using Work = Async<std::string> (ResponseApi::*)(http::Request&, const Visitor&) const;

  http::Handler handle(Work work) const;
  boost::asio::awaitable<void> create(http::Request raw, http::ResponseWriter& out) const;
  boost::asio::awaitable<void> retrieve(http::Request raw, http::ResponseWriter& out) const;
  Async<std::string> remove(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> cancel(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> input_items(http::Request& raw, const Visitor& visitor) const;
  Async<std::string> input_tokens(http::Request& raw, const Visitor& visitor) const;

  Async<Running> begin(http::Request& raw, const Visitor& visitor) const;
  boost::asio::awaitable<void> run(Running running, std::string key_name, http::Request raw) const;
  Async<void> accept(Running running) const;
  boost::asio::awaitable<void> settle(const Running& running) const;
  Async<void> write_end(const Running& running) const;
  boost::asio::awaitable<void> follow(const Running& running, std::size_t from,
                                      http::ResponseWriter& out) const;
  Async<responses::Kept> find(const http::Request& raw, const Visitor& visitor) const;
  Running running(const std::string& id) const;

  const Doors doors_;
  struct Row {
    std::mutex mutex;
    std::map<std::string, Running, std::less<>> by_id;
    std::atomic<bool> stopping = false;
    std::atomic<std::size_t> unwritten_bytes = 0;  // Of ends that the disk does not take.
  };
  const std::unique_ptr<Row> row_;
  const std::unique_ptr<Background> background_;
};

}  // namespace spillway
