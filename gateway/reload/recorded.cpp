#include "gateway/reload/recorded.h"

#include <algorithm>
#include <utility>

namespace spillway {

Recorded::Recorded(const policy::RequestFacts& request, std::shared_ptr<const Moment> moment,
                   policy::Turn turn)
    : request_(request),
      model_(request.model),
      service_tier_(request.service_tier),
      endpoint_(request.endpoint),
      class_header_(request.class_header),
      label_(request.label),
      beyond_(request.beyond.begin(), request.beyond.end()),
      moment_(std::move(moment)),
      turn_(turn) {
  if (request.key) key_ = *request.key;
  if (key_) key_->secret.clear();
}

Result<policy::Plan> Recorded::plan_by(const policy::Router& router) const {
  return router.plan(request_for(*router.settings()), moment_->fleet, turn_);
}

bool Recorded::has_key_of(const config::Settings& settings) const {
  return key_ && std::any_of(settings.keys.begin(), settings.keys.end(),
                             [&](const config::Key& one) { return one.name == key_->name; });
}

policy::RequestFacts Recorded::request_for(const config::Settings& settings) const {
  policy::RequestFacts facts = request_;
  facts.model = model_;
  facts.service_tier = service_tier_;
  facts.endpoint = endpoint_;
  facts.class_header = class_header_;
  facts.label = label_;
  facts.beyond = beyond_;
  facts.key = key_ ? &*key_ : nullptr;
  for (const config::Key& one : settings.keys) {
    if (key_ && one.name == key_->name) facts.key = &one;
  }
  return facts;
}

}  // namespace spillway
