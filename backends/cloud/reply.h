// What a provider says to one request, from its first header to its last byte, turned into Deltas.
//
// No curl in here: bytes in, pieces into the Bridge. Belongs to the cloud thread. An answer counts
// as whole only if each of its choices has a finish reason and, streamed, if its last event came;
// anything else fails. Settles once, by finish or failure; what comes afterwards is ignored.
#pragma once

#include "backends/cloud/failure.h"
#include "backends/cloud/response_head.h"
#include "backends/cloud/sse.h"
#include "backends/cloud/upstream.h"
#include "backends/cloud/written_bytes.h"
#include "backends/contract/bridge.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::cloud {

class Reply {
 public:
  // `place` is given back when the reply settles.
  Reply(const Upstream& upstream, Endpoint asked, std::unique_ptr<AnswerReader> reader,
        std::shared_ptr<Bridge> bridge, Place place);

  // Each takes what came; false if the transfer should be ended for it.
  [[nodiscard]] bool take_header(std::string_view line);
  [[nodiscard]] bool take_body(std::string_view bytes);

  // The body ended as it should.
  void end();

  // It did not.
  void fail(std::string_view cause);

  // The request goes out: from now on the provider may bill it, unless it refuses it.
  void sent() { bridge_->at_work(true); }
  // The connection broke. Where nothing has been answered by then, nothing was begun, unless it had
  // the request for so long that it `may_have_begun`.
  void broke(std::string_view cause, bool may_have_begun);

  bool settled() const { return settled_; }
  bool answering() const { return head_.status() != 0; }
  std::uint64_t pieces() const { return pieces_; }  // Deltas so far.
  bool bridge_full() { return !settled_ && pieces_ > 0 && bridge_->full(); }
  bool abandoned() const { return bridge_->abandoned(); }

 private:
  bool is_stream() const { return head_.media_type() == "text/event-stream"; }
  bool take_event(std::string_view type, std::string_view data);
  bool take_last_words(const Parsed& parsed);
  void take_uncut();
  bool collect(std::string_view bytes, std::size_t bytes_max);
  void push(Delta delta);
  void finish_stream();
  void tell(const Parsed& parsed);
  void finish_whole();
  bool complain(const Parsed& parsed);
  bool refuse(const Complaint& complaint);
  bool settle(Error error);
  void settle();

  const Teller& teller_;
  const Dialect& dialect_;
  const bool writes_;  // A model does, or it answers otherwise.
  const std::unique_ptr<AnswerReader> reader_;
  std::shared_ptr<Bridge> bridge_;
  Place place_;
  ResponseHead head_;
  SseParser events_;
  std::string body_;            // Of a whole answer or a refusal.
  WrittenBytes written_;        // What a model wrote of it: owed though the rest never comes.
  std::vector<bool> finished_;  // By choice.
  std::optional<Complaint> complaint_;  // It ends with this, once it has told what it bills.
  std::uint64_t pieces_ = 0;
  bool told_ = false;  // What it bills.
  bool settled_ = false;
};

}  // namespace spillway::cloud
