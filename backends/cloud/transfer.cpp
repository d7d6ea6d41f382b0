#include "backends/cloud/transfer.h"

#include <curl/curl.h>

#include <algorithm>
#include <utility>

namespace spillway::cloud {

namespace {

// How long an answered request may hold its connection until the body ends.
constexpr std::chrono::seconds kDrainMax{1};

// How much slower than its catalogue speed a provider may write a whole answer.
constexpr double kWholeAnswerSlack = 4.0;

std::string within(std::string_view what, std::chrono::milliseconds limit) {
  return std::string(what) + " within " + std::to_string(limit.count()) + " ms";
}

std::string cause_of(CURLcode code, bool answering) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST: return "its name cannot be resolved";
    case CURLE_COULDNT_CONNECT: return "it refuses connections or cannot be reached";
    case CURLE_SSL_CONNECT_ERROR: return "the TLS handshake failed";
    case CURLE_PEER_FAILED_VERIFICATION: return "its TLS certificate is not trusted";
    case CURLE_SSL_CACERT_BADFILE: return "ca_file cannot be read";
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return answering ? "the connection broke in the middle of its answer"
                       : "the connection broke before its answer";
    default: return std::string("its answer cannot be read: ") + curl_easy_strerror(code);
  }
}

}  // namespace

Transfer::Transfer(TransferPlan plan, std::shared_ptr<Bridge> bridge, Place place)
    : plan_(std::move(plan)),
      reply_(*plan_.upstream, plan_.asked, std::move(plan_.reader), std::move(bridge),
             std::move(place)) {}

Transfer::~Transfer() {
  if (easy_) plan_.upstream->idle.push_back(std::move(easy_));
}

std::unique_ptr<Easy> Transfer::make_handle(const Upstream& upstream) {
  return std::make_unique<Easy>(upstream, Easy::Callbacks{&on_request, &on_header, &on_body});
}

void* Transfer::arm(TimePoint now, TimePoint& earliest_due) {
  auto& idle = plan_.upstream->idle;
  if (idle.empty()) {
    easy_ = make_handle(*plan_.upstream);
  } else {
    easy_ = std::move(idle.back());
    idle.pop_back();
  }
  easy_->arm(plan_.http, this);
  earliest_due_ = &earliest_due;
  started_ = now;
  heard(now);
  return easy_->handle();
}

bool Transfer::resume(TimePoint now) {
  if (!std::exchange(paused_, false)) return true;
  heard(now);
  // Hands over what was held back, so the reply may fail, or the bridge be full again, in here.
  const CURLcode code = curl_easy_pause(easy_->handle(), CURLPAUSE_CONT);
  if (code != CURLE_OK) complete(code);
  return code == CURLE_OK;
}

void Transfer::heard(TimePoint now) {
  heard_at_ = now;
  *earliest_due_ = std::min(*earliest_due_, due());
}

int Transfer::on_request(void* self, char*, char*, int, int) {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.sent_at_ = SteadyClock::now();
  transfer.reply_.sent();
  return CURL_PREREQFUNC_OK;
}

std::size_t Transfer::on_header(char* bytes, std::size_t, std::size_t count, void* self) {
  return static_cast<Transfer*>(self)->reply_.take_header({bytes, count}) ? count : 0;
}

std::size_t Transfer::on_body(char* bytes, std::size_t, std::size_t count, void* self) {
  return static_cast<Transfer*>(self)->take_body({bytes, count});
}

std::size_t Transfer::take_body(std::string_view bytes) {
  if (reply_.bridge_full()) {
    paused_ = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  const bool go_on = reply_.take_body(bytes);
  if (reply_.pieces() > 0) heard(SteadyClock::now());  // A comment, too, is a sign of life.
  return go_on ? bytes.size() : 0;
}

// A whole answer says nothing until it is written, so its silence may last as long as writing
// takes.
SteadyClock::duration Transfer::whole_answer_max() const {
  const config::ProviderTimeouts& timeouts = plan_.upstream->timeouts;
  if (!plan_.tokens_max || plan_.upstream->tokens_per_second <= 0.0) return timeouts.total;
  const double writing = *plan_.tokens_max / plan_.upstream->tokens_per_second;
  const auto limit = timeouts.first_token + from_seconds(kWholeAnswerSlack * writing);
  return std::min<SteadyClock::duration>(limit, timeouts.total);
}

TimePoint Transfer::due() const {
  const config::ProviderTimeouts& timeouts = plan_.upstream->timeouts;
  const TimePoint total = started_ + timeouts.total;
  if (reply_.settled()) return std::min(heard_at_ + kDrainMax, total);
  if (paused_) return total;  // It is the client who is slow.
  if (reply_.pieces() == 0 && plan_.is_patient) return total;
  if (!plan_.stream) return started_ + whole_answer_max();
  if (reply_.pieces() == 0) return std::min(started_ + timeouts.first_token, total);
  return std::min(heard_at_ + timeouts.between_tokens, total);
}

void Transfer::expire(TimePoint now) {
  using std::chrono::duration_cast;
  const config::ProviderTimeouts& timeouts = plan_.upstream->timeouts;
  if (now >= started_ + timeouts.total) {
    reply_.fail(within("no end of its answer", timeouts.total));
  } else if (!plan_.stream) {
    reply_.fail(within("no answer", duration_cast<config::Milliseconds>(whole_answer_max())));
  } else if (reply_.pieces() == 0) {
    reply_.fail(within("no first token", timeouts.first_token));
  } else {
    reply_.fail(within("no further token", timeouts.between_tokens));
  }
}

void Transfer::complete(int code) {
  if (code == CURLE_OK) return reply_.end();
  // It may have been sent on a kept connection that the provider had closed: nobody had it.
  if (code == CURLE_OPERATION_TIMEDOUT)
    return reply_.broke(within("no connection", plan_.upstream->timeouts.connect), false);
  const bool had_it_long = sent_at_ && SteadyClock::now() - *sent_at_ >= plan_.upstream->ttft;
  reply_.broke(cause_of(static_cast<CURLcode>(code), reply_.answering()), had_it_long);
}

}  // namespace spillway::cloud
