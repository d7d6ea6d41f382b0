// One request on its way to a provider and its reply: the meeting of an easy handle, a Reply and
// the provider's timeouts.
//
// Made by a worker, handed to the cloud thread, which owns it from then on and alone may call it.
#pragma once

#include "backends/cloud/reply.h"
#include "backends/cloud/upstream.h"
#include "backends/contract/bridge.h"
#include "backends/contract/deadline.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace spillway::cloud {

struct TransferPlan {
  std::uint64_t id = 0;
  std::shared_ptr<Upstream> upstream;
  HttpRequest http;
  Endpoint asked = Endpoint::chat;
  std::unique_ptr<AnswerReader> reader;
  bool stream = false;
  // Completion tokens at most, if the client said; bounds how long a whole answer may take.
  std::optional<int> tokens_max;
  bool is_patient = false;  // Its first token may take as long as it likes.
};

class Transfer {
 public:
  Transfer(TransferPlan plan, std::shared_ptr<Bridge> bridge, Place place);
  ~Transfer();  // The handle goes back to its provider's idle ones.
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // A handle for the provider's idle ones. Throws as Easy does.
  static std::unique_ptr<Easy> make_handle(const Upstream& upstream);

  std::uint64_t id() const { return plan_.id; }
  bool abandoned() const { return reply_.abandoned(); }

  // Gets a CURL* ready for the caller to add to its multi handle. From now on `earliest_due` is
  // lowered whenever this transfer becomes due earlier than it says.
  void* arm(TimePoint now, TimePoint& earliest_due);
  void* handle() const { return easy_->handle(); }

  // The consumer has room again: reading goes on. False if that ended the transfer; the caller
  // removes it.
  [[nodiscard]] bool resume(TimePoint now);

  // When to call `expire`. Moves as pieces come.
  TimePoint due() const;

  // Fails the reply for the timeout that has passed. The caller removes the transfer.
  void expire(TimePoint now);

  // libcurl is done with it, with this CURLcode.
  void complete(int code);

  // It ends for a reason outside.
  void fail(std::string_view cause) { reply_.fail(cause); }

 private:
  static int on_request(void* self, char*, char*, int, int);
  static std::size_t on_header(char* bytes, std::size_t, std::size_t count, void* self);
  static std::size_t on_body(char* bytes, std::size_t, std::size_t count, void* self);
  std::size_t take_body(std::string_view bytes);
  void heard(TimePoint now);
  SteadyClock::duration whole_answer_max() const;

  TransferPlan plan_;
  Reply reply_;
  std::unique_ptr<Easy> easy_;
  TimePoint* earliest_due_ = nullptr;
  TimePoint started_{};
  std::optional<TimePoint> sent_at_;  // On the connection in use.
  TimePoint heard_at_{};  // Of the last piece, or of the last time that reading went on.
  bool paused_ = false;
};

}  // namespace spillway::cloud
