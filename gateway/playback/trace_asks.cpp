#include "gateway/playback/trace_asks.h"

#include "config/named.h"
#include "gateway/policy/classes.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace spillway {
namespace {

using config::RequestClass;
using simulate::TraceRequest;

double seconds(config::Milliseconds time) { return std::chrono::duration<double>(time).count(); }

config::Milliseconds milliseconds(double seconds) {
  return config::Milliseconds(std::llround(seconds * 1e3));
}

const RequestClass& no_class() {
  static const RequestClass kNone{.name = "none"};
  return kNone;
}

}  // namespace

TraceAsks::TraceAsks(std::shared_ptr<const config::Settings> settings, TraceNames names,
                     const simulate::Replay& replay)
    : settings_(std::move(settings)), names_(std::move(names)), replay_(replay) {
  for (const TraceRequest& one : replay.requests) know_key(one.told);
  promises_.reserve(replay.requests.size());
  for (std::size_t i = 0; i < replay.requests.size(); ++i) promises_.push_back(promise_of(i));
}

policy::RequestFacts TraceAsks::facts(std::size_t request) const {
  const TraceRequest& one = replay_.requests[request];
  policy::RequestFacts facts;
  facts.model = one.told.model == 0 ? std::string_view(names_.model) : word(one.told.model);
  facts.service_tier = word(one.told.service_tier);
  facts.endpoint = "/v1/chat/completions";
  facts.class_header = class_asked(one);
  facts.label = word(one.told.label);
  facts.key = key_of(one.told);
  facts.in_a_batch = one.batch;
  facts.local_only = one.told.local_only;
  facts.prompt_tokens = one.prompt_tokens;
  if (one.told.tokens_max > 0) facts.completion_tokens_max = one.told.tokens_max;
  facts.streaming = one.told.streaming;
  if (request >= promises_.size()) return facts;  // Asked about to know what it is promised.
  const TracePromise& promise = promises_[request];
  if (promise.waits) {
    facts.deadline = milliseconds(promise.deadline - one.at);
  } else {
    facts.ttft_max = milliseconds(promise.ttft);
  }
  return facts;
}

std::string_view TraceAsks::tenant(std::size_t request) const {
  const config::Key* const key = key_of(replay_.requests[request].told);
  return key == nullptr ? std::string_view() : std::string_view(key->tenant);
}

std::shared_ptr<const config::Settings> TraceAsks::widened() const {
  auto own = std::make_shared<config::Settings>(*settings_);
  for (std::size_t i = 0; i < promises_.size(); ++i) {
    const TraceRequest& one = replay_.requests[i];
    if (!one.own_ttft && !one.own_deadline) continue;
    for (RequestClass& each : own->policy.classes) {
      if (each.name != promises_[i].request_class->name) continue;
      if (promises_[i].waits && one.own_deadline && each.sla.deadline)
        each.sla.deadline = std::chrono::hours(24 * 365);
      if (!promises_[i].waits && one.own_ttft && each.sla.ttft)
        each.sla.ttft = std::max(*each.sla.ttft, std::chrono::ceil<config::Milliseconds>(
                                                     std::chrono::duration<double>(one.ttft_slo)));
    }
  }
  return own;
}

TracePromise TraceAsks::promise_of(std::size_t request) const {
  const TraceRequest& one = replay_.requests[request];
  const auto found = policy::class_of(*settings_, facts(request));
  const RequestClass& its = found ? **found : no_class();
  TracePromise promise{.request_class = &its};
  const bool by_class = its.sla.deadline && !its.sla.ttft;
  promise.waits = one.batch || (one.named && (one.own_deadline || by_class));
  promise.ttft = one.own_ttft || !its.sla.ttft ? one.ttft_slo : seconds(*its.sla.ttft);
  if (its.sla.per_token) promise.per_token = seconds(*its.sla.per_token);
  promise.deadline =
      one.own_deadline || !its.sla.deadline ? one.deadline : one.at + seconds(*its.sla.deadline);
  return promise;
}

// Interactive work is of the class that the policy itself makes of it, where none has that name.
std::string_view TraceAsks::class_asked(const TraceRequest& request) const {
  if (request.batch) return names_.batch_class;
  const std::string& name = word(request.told.request_class);
  const bool is_known = config::named(settings_->policy.classes, name) != nullptr;
  return request.named || is_known ? std::string_view(name) : "";
}

const config::Key* TraceAsks::key_of(const simulate::Told& told) const {
  const auto known = keys_.find({told.key, told.tenant});
  return known == keys_.end() ? nullptr : &known->second;
}

// A key that the policy does not have is one of that name which may do everything.
void TraceAsks::know_key(const simulate::Told& told) {
  if ((told.key == 0 && told.tenant == 0) || keys_.contains({told.key, told.tenant})) return;
  config::Key key;
  key.name = word(told.key);
  if (const config::Key* const own = config::named(settings_->keys, key.name)) key = *own;
  if (told.tenant != 0) key.tenant = word(told.tenant);
  keys_.emplace(std::pair(told.key, told.tenant), std::move(key));
}

}  // namespace spillway
