#include "gateway/api/running_response.h"

#include "gateway/responses/events.h"
#include "gateway/responses/stored.h"
#include "gateway/responses/transcript.h"

namespace spillway {

void RunningResponse::set_header(std::string_view name, std::string_view value) {
  const std::lock_guard lock(mutex_);
  headers_.emplace_back(name, value);
}

void RunningResponse::say_head(http::ResponseWriter& out) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, value] : headers_) out.set_header(name, value);
}

Async<void> RunningResponse::send(int status, std::string, std::string body) {
  const std::lock_guard lock(mutex_);
  status_ = status;
  (status >= 400 ? refused_ : answer_) = std::move(body);
  co_return Result<void>();
}

Async<void> RunningResponse::begin_stream() {
  status_ = 200;
  co_return Result<void>();
}

Async<void> RunningResponse::begin_file(std::string, std::uint64_t) {
  co_return Error{Errc::internal, "a response is no file", "", std::nullopt};
}

Async<void> RunningResponse::write(std::string piece) {
  take(piece);
  co_return Result<void>();
}

Async<void> RunningResponse::end(std::string last_piece) {
  take(last_piece);
  co_return Result<void>();
}

void RunningResponse::take(const std::string& events) {
  const std::lock_guard lock(mutex_);
  for (std::string& event : responses::split_events(events)) events_.push_back(std::move(event));
}

std::string RunningResponse::last_object() const {
  const std::lock_guard lock(mutex_);
  return events_.empty() ? answer_ : responses::ended_object_in(events_.back());
}

std::string RunningResponse::transcript() const {
  const bool has_end = !last_object().empty();
  const std::lock_guard lock(mutex_);
  responses::Transcript transcript;
  for (std::size_t i = 0; i + (has_end ? 1 : 0) < events_.size(); ++i) transcript.add(events_[i]);
  return transcript.text();
}

std::string RunningResponse::outcome() const {
  const std::lock_guard lock(mutex_);
  return outcome_;
}

void RunningResponse::end_with(const std::string& body) {
  const bool told = !last_object().empty();
  const std::lock_guard lock(mutex_);
  outcome_ = body;
  if (told) return;
  const std::string rest = events_.empty() ? *responses::events_from(0, body, "")
                                           : responses::last_event(body, events_.size());
  for (std::string& event : responses::split_events(rest)) events_.push_back(std::move(event));
}

std::string RunningResponse::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

std::size_t RunningResponse::events() const {
  const std::lock_guard lock(mutex_);
  return events_.size();
}

std::string RunningResponse::events_from(std::size_t& next) const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (; next < events_.size(); ++next) text += events_[next];
  return text;
}

}  // namespace spillway
