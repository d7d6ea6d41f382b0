// One line of a batch as a request, and its answer as something to write down or to try again.
//
// On the thread of the batches.
#pragma once

#include "gateway/batch/batch.h"
#include "gateway/batch/line.h"
#include "gateway/http/message.h"
#include "gateway/http/response_writer.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace spillway {

// How a line is asked.
struct LineTerms {
  std::string request_class;  // Empty: as its own words have it.
  std::chrono::milliseconds deadline{};
  int round = 0;    // Of the batch's lines.
  int attempt = 0;  // In that round, from 0.
};

// The id is made of batch, line, round and attempt: each time that a line is asked is a bill of its
// own, also where a kill came between a bill and its result.
http::Request request_of(const batch::Batch& batch, const batch::LineRef& line,
                         std::string_view text, const LineTerms& terms);

// The same for a line that has come back from a provider's batch: one bill, however often it is
// taken.
std::string id_of_handed_over(std::string_view handover, int line);

// Takes what a connection's client would get.
class LineWriter final : public http::ResponseWriter {
 public:
  void set_header(std::string_view name, std::string_view value) override;
  Async<void> send(int status, std::string content_type, std::string body) override;
  Async<void> begin_stream() override;
  Async<void> begin_file(std::string content_type, std::uint64_t bytes) override;
  Async<void> write(std::string piece) override;
  Async<void> end(std::string last_piece) override;
  bool head_sent() const override { return status_ != 0; }
  int status() const override { return status_; }
  const std::string& target() const { return target_; }  // Who answered.

  // How long to wait before the line is asked once more, after so many times; nothing: this is its
  // answer. A lack of capacity may last, so it is borne for as long as the batch has time.
  std::optional<std::chrono::milliseconds> again_in(int attempts) const;

  batch::Answer take(std::string request_id);

 private:
  int status_ = 0;
  std::string body_;
  std::string left_out_;
  std::string target_;
  bool never_again_ = false;
  std::chrono::milliseconds retry_after_{0};
};

}  // namespace spillway
