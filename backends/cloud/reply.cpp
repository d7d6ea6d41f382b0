#include "backends/cloud/reply.h"

#include "backends/cloud/dialects/json_check.h"

#include <algorithm>
#include <utility>

namespace spillway::cloud {

namespace {

constexpr std::size_t kRefusalBytesMax = 64 << 10;

}  // namespace

Reply::Reply(const Upstream& upstream, Endpoint asked, std::unique_ptr<AnswerReader> reader,
             std::shared_ptr<Bridge> bridge, Place place)
    : teller_(upstream.teller),
      dialect_(*upstream.dialect),
      writes_(writes(asked)),
      reader_(std::move(reader)),
      bridge_(std::move(bridge)),
      place_(std::move(place)) {}

bool Reply::take_header(std::string_view line) {
  if (head_.take(line)) return true;
  return settle(unavailable(teller_, "its response headers are too large"));
}

bool Reply::take_body(std::string_view bytes) {
  // After [DONE] only the end of the body is waited for, so that the connection can be used again.
  if (settled_) return true;
  if (!head_.ok()) {
    if (collect(bytes, kRefusalBytesMax)) return true;
    return settle(refusal(teller_, head_, body_));
  }
  if (!is_stream()) {
    if (writes_) written_.take(bytes);
    bridge_->bytes_written(written_.bytes());
    if (collect(bytes, reader_->answer_bytes_max())) return true;
    return settle(writes_ ? unavailable(teller_, "its answer is too large") : outgrown(teller_));
  }
  bool failed = false;
  const auto on_event = [this, &failed](std::string_view type, std::string_view data) {
    failed = !settled_ && !take_event(type, data);
    return !failed;
  };
  if (events_.feed(bytes, on_event) || failed) return !failed;
  return settle(unavailable(teller_, "an event of its stream is too large"));
}

// Providers send empty lines while a request waits in their queue.
bool Reply::collect(std::string_view bytes, std::size_t bytes_max) {
  if (body_.empty())
    bytes.remove_prefix(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
  if (body_.size() + bytes.size() > bytes_max) return false;
  body_.append(bytes);
  return true;
}

bool Reply::take_event(std::string_view type, std::string_view data) {
  using Kind = Parsed::Kind;
  if (type == "error") return refuse(parse_complaint(data).value_or(Complaint{}));
  Parsed parsed = reader_->event(type, data);
  if (complaint_) return take_last_words(parsed);
  if (parsed.kind == Kind::complaint) {
    return complain(parsed);
  }
  if (parsed.kind == Kind::garbage) {
    if (parsed.usage) tell(parsed);
    return settle(unavailable(teller_, "its stream has a malformed event"));
  }
  const bool speaks = !parsed.deltas.empty();
  if (speaks) parsed.deltas.back().usage = parsed.usage;
  for (Delta& delta : parsed.deltas) push(std::move(delta));
  if (parsed.usage && !speaks) tell(parsed);
  if (parsed.kind == Kind::done) finish_stream();
  return true;
}

// At once, unless what it bills may follow.
bool Reply::complain(const Parsed& parsed) {
  if (parsed.usage) tell(parsed);
  if (parsed.usage || !parsed.complaint.ends) return refuse(parsed.complaint);
  complaint_ = parsed.complaint;
  return true;
}

bool Reply::take_last_words(const Parsed& parsed) {
  if (parsed.usage) tell(parsed);
  const bool goes_on = !parsed.usage && parsed.kind == Parsed::Kind::pieces;
  return goes_on || refuse(*complaint_);
}

// Its last event, if that lacks nothing but the blank line.
void Reply::take_uncut() {
  events_.end([this](std::string_view type, std::string_view data) {
    return !settled_ && (is_json(data) || data == "[DONE]") && take_event(type, data);
  });
}

// Who complains before a word, and before telling what it bills, has not begun; unless it answered.
bool Reply::refuse(const Complaint& complaint) {
  if (pieces_ == 0 && !told_ && !complaint.answered) bridge_->at_work(false);
  return settle(complaint_error(teller_, complaint));
}

// At once: what has been told until the stream breaks off, or the client leaves, is what is billed.
void Reply::tell(const Parsed& parsed) {
  Delta told;
  told.usage = parsed.usage;
  told.beside = parsed.beside;
  told_ = true;
  bridge_->push(std::move(told));
}

void Reply::push(Delta delta) {
  const auto choice = static_cast<std::size_t>(delta.choice);
  if (choice >= finished_.size()) finished_.resize(choice + 1, false);
  if (delta.finish) finished_[choice] = true;
  if (pieces_++ == 0) bridge_->rate_left(head_.rate_left());
  bridge_->push(std::move(delta));
}

void Reply::finish_stream() {
  const bool whole = std::find(finished_.begin(), finished_.end(), false) == finished_.end();
  if (finished_.empty() || !whole) {
    settle(unavailable(teller_, "its stream ended before the answer did"));
    return;
  }
  settle();
}

void Reply::finish_whole() {
  using Kind = Parsed::Kind;
  Parsed parsed = reader_->answer(body_);
  if (parsed.usage && parsed.kind != Kind::pieces) tell(parsed);
  if (parsed.kind == Kind::complaint) {
    refuse(parsed.complaint);
    return;
  }
  if (parsed.kind != Kind::pieces) {
    settle(unavailable(teller_, "its answer is not " + std::string(dialect_.answer_name())));
    return;
  }
  parsed.deltas.back().usage = parsed.usage;
  for (Delta& delta : parsed.deltas) push(std::move(delta));
  settle();
}

void Reply::end() {
  if (settled_) return;
  if (head_.ok() && is_stream()) take_uncut();
  if (settled_) return;
  if (complaint_) {
    refuse(*complaint_);
  } else if (!head_.ok()) {
    settle(refusal(teller_, head_, body_));
  } else if (is_stream()) {
    settle(unavailable(teller_, "its stream ended without " + std::string(dialect_.last_event())));
  } else {
    finish_whole();
  }
}

void Reply::fail(std::string_view cause) {
  if (settled_) return;
  if (complaint_) {
    refuse(*complaint_);
  } else {
    settle(unavailable(teller_, cause));
  }
}

void Reply::broke(std::string_view cause, bool may_have_begun) {
  if (!answering() && !may_have_begun) bridge_->at_work(false);
  fail(cause);
}

bool Reply::settle(Error error) {
  settled_ = true;
  if (answering() && !head_.ok()) bridge_->at_work(false);
  place_.give_back();
  bridge_->fail(std::move(error));
  return false;
}

void Reply::settle() {
  settled_ = true;
  place_.give_back();
  bridge_->finish();
}

}  // namespace spillway::cloud
