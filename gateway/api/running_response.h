// A response in the background while it runs: what it has said so far, for those who follow it.
//
// Written by the coroutine that runs it, read by any thread.
#pragma once

#include "gateway/http/response_writer.h"
#include "gateway/responses/shelf.h"

#include <boost/asio/cancellation_signal.hpp>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace spillway {

// Takes an answer as a connection would.
class RunningResponse final : public http::ResponseWriter {
 public:
  RunningResponse(std::string id, std::string tenant, bool streams)
      : id(std::move(id)), tenant(std::move(tenant)), streams(streams) {}

  void set_header(std::string_view name, std::string_view value) override;
  Async<void> send(int status, std::string content_type, std::string body) override;
  Async<void> begin_stream() override;
  Async<void> begin_file(std::string content_type, std::uint64_t bytes) override;
  Async<void> write(std::string piece) override;
  Async<void> end(std::string last_piece) override;
  bool head_sent() const override { return status_ != 0; }
  int status() const override { return status_; }

  // The headers so far, such as those of limits, to whoever waits until it is accepted.
  void say_head(http::ResponseWriter& out) const;

  // The body of a refusal; empty if it was answered.
  std::string refused() const;

  std::size_t events() const;  // As many as there are so far.

  // The events from that number on.
  std::string events_from(std::size_t& next) const;

  // The response object that it answered with, of a stream that of the last event; empty if it did
  // not.
  std::string last_object() const;

  // All events but one that tells the end, as a responses::Transcript.
  std::string transcript() const;

  // Tells who follows the end as `body` has it, unless it is told.
  void end_with(const std::string& body);

  // What `end_with` was told; empty before.
  std::string outcome() const;

  const std::string id;
  const std::string tenant;
  const bool streams;
  responses::Kept begun;                    // As it is kept and told once it is accepted.
  std::atomic<bool> accepted = false;       // It is kept, and its client may be told.
  std::atomic<bool> ended = false;          // It says no more; the disk may not have its end yet.
  std::atomic<bool> cancelled = false;      // By its client.
  boost::asio::cancellation_signal cancel;  // On the background's thread only.

 private:
  void take(const std::string& events);

  mutable std::mutex mutex_;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::vector<std::string> events_;
  std::string refused_;
  std::string answer_;  // Of one that is no stream.
  std::string outcome_;
  std::atomic<int> status_ = 0;
};

}  // namespace spillway
