#include "gateway/notes.h"

#include "gateway/policy/price.h"

#include <algorithm>
#include <string>

namespace spillway {
namespace {

constexpr std::size_t kClientIdBytesMax = 512;

// A client's own id goes into the log only if it is short and plain.
std::string client_id(std::string_view given) {
  const bool plain =
      std::all_of(given.begin(), given.end(), [](char c) { return c > ' ' && c < 127; });
  return plain && given.size() <= kClientIdBytesMax ? std::string(given) : std::string();
}

std::optional<double> seconds(const std::optional<config::Milliseconds>& limit) {
  if (!limit) return std::nullopt;
  return std::chrono::duration<double>(*limit).count();
}

}  // namespace

Receipt open_receipt(const http::Request& raw) {
  Receipt receipt;
  receipt.request_id = raw.id;
  receipt.client_request_id = client_id(raw.header("x-client-request-id"));
  receipt.endpoint = raw.path;
  receipt.arrived = raw.arrived;
  receipt.decided = raw.arrived;
  return receipt;
}

void note(const policy::Caller& caller, Receipt& receipt) {
  receipt.tenant = caller.tenant();
  receipt.key_name = caller.name();
}

void note(const ChatRequest& request, Receipt& receipt) {
  receipt.model_requested = request.model;
  receipt.stream = request.stream;
}

void note(const policy::Plan& plan, const policy::RequestFacts& facts,
          const policy::FleetFacts& fleet, Receipt& receipt) {
  receipt.request_class = plan.request_class->name;
  receipt.reason = policy::name_of(plan.reason);
  receipt.explanation = policy::explain(plan, facts, fleet);
  receipt.sla_ttft = seconds(plan.sla.ttft);
  receipt.sla_per_token = seconds(plan.sla.per_token);
  receipt.usage.prompt_tokens = facts.prompt_tokens;
  if (!plan.wait && plan.local && plan.candidates.front().local &&
      plan.candidates.front().lane == Lane::foreground) {
    receipt.predicted = plan.local;
  }
}

void note(const policy::Candidate& served_by, Receipt& receipt) {
  receipt.target = served_by.target;
  receipt.model_served = served_by.model;
  receipt.served_locally = served_by.local;
}

void describe(const Receipt& receipt, http::ResponseWriter& out) {
  out.set_header("x-spillway-target", receipt.target);
  out.set_header("x-spillway-reason", receipt.reason);
  out.set_header("x-spillway-class", receipt.request_class);
}

void price(const config::Settings& settings, Receipt& receipt) {
  if (receipt.target.empty()) return;
  if (receipt.served_locally) {
    receipt.avoided_nano_usd = policy::avoided_cost(settings.providers, receipt.usage);
    return;
  }
  for (const config::ProviderTarget& provider : settings.providers) {
    if (provider.name == receipt.target)
      receipt.cost_nano_usd = policy::cost_of(provider.price, receipt.usage);
  }
}

}  // namespace spillway
