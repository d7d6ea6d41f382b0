// The ResponseWriter of one request: heads, chunk framing and what HTTP demands of each answer.
//
// Lives in the session's frame while the handler runs, on the connection's thread.
#pragma once

#include "gateway/http/connection.h"
#include "gateway/http/response_writer.h"
#include "gateway/http/session_body.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace spillway::http {

struct AnswerRules {
  bool head_only = false;  // The request was HEAD.
  bool http_1_0 = false;   // No chunked framing.
  bool keep_alive = true;  // As far as the client is concerned.
  bool gzip = false;       // The client takes it.
};

class SessionWriter final : public ResponseWriter {
 public:
  // `date` is the Date header's value; a server that is draining when the head is made closes the
  // connection behind the answer, and so does one whose `body` (null: none) is not read by then.
  // Everything must outlive the writer.
  SessionWriter(Connection& connection, AnswerRules rules, std::string_view request_id,
                std::string_view date, const std::atomic<bool>& draining, const SessionBody* body);

  void set_header(std::string_view name, std::string_view value) override;
  Async<void> send(int status, std::string content_type, std::string body) override;
  Async<void> begin_stream() override;
  Async<void> begin_file(std::string content_type, std::uint64_t bytes) override;
  Async<void> write(std::string piece) override;
  Async<void> end(std::string last_piece) override;
  void keep_alive(std::chrono::milliseconds quiet) override;
  void if_lost(std::function<void()> tell) override { connection_.if_lost(std::move(tell)); }
  bool head_sent() const override { return status_ != 0; }
  int status() const override { return status_; }
  std::string_view request_id() const { return request_id_; }

  // For the sweep, between the handler's own steps: a comment, if nothing was said for too long.
  void speak_if_due(TimePoint now);

  // The answer is complete.
  bool finished() const { return state_ == State::finished; }
  // Another request may follow on this connection. Requires: finished().
  bool keep_alive() const { return rules_.keep_alive; }

 private:
  enum class State { nothing, streaming, finished };

  void begin_events();
  void begin_head(int status, std::string_view content_type);
  void end_head();
  Async<void> write_piece(std::string_view bytes, std::string_view tail);

  Connection& connection_;
  AnswerRules rules_;
  const std::string_view request_id_;
  const std::string_view date_;
  const std::atomic<bool>& draining_;
  const SessionBody* const body_;
  State state_ = State::nothing;
  int status_ = 0;
  bool chunked_ = false;
  std::uint64_t bytes_left_ = 0;  // Of a file.
  std::chrono::milliseconds quiet_{0};
  TimePoint speak_by_ = TimePoint::max();
  std::string extra_headers_;
  std::string head_;  // Not sent yet: it leaves with the first bytes behind it.
};

}  // namespace spillway::http
