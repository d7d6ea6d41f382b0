#include "gateway/request/hedge.h"

#include <algorithm>
#include <chrono>

namespace spillway {
namespace {

bool takes_its_time(const policy::Candidate& candidate) {
  return candidate.at_batch_rate || candidate.lane != Lane::foreground;
}

}  // namespace

std::optional<TimePoint> Hedge::late(const Approach& first) const {
  const config::Hedge& hedge = plan_.request_class->hedge;
  const bool may = hedge.enabled && !done_ && first.request->stream;
  if (!may || takes_its_time(first.candidate)) return std::nullopt;
  const std::chrono::duration<double> silence =
      hedge.after ? *hedge.after : std::chrono::duration<double>(first.candidate.ttft_p95);
  if (silence.count() <= 0.0) return std::nullopt;
  const TimePoint late =
      SteadyClock::now() + std::chrono::duration_cast<SteadyClock::duration>(silence);
  return late < first.patience ? std::optional(late) : std::nullopt;
}

std::optional<std::size_t> Hedge::second(const Approach& first, std::size_t at) {
  for (; at < plan_.candidates.size(); ++at) {
    const policy::Candidate& candidate = plan_.candidates[at];
    if (!may_be_beside(candidate, first)) continue;
    if (!is_affordable(candidate, first)) return std::nullopt;
    done_ = true;
    return at;
  }
  return std::nullopt;
}

// Another server of the same target is as good as another target.
bool Hedge::may_be_beside(const policy::Candidate& candidate, const Approach& first) const {
  const bool same = candidate.target == first.candidate.target;
  if (takes_its_time(candidate) || (same && servers_of(candidate, edition_) < 2)) return false;
  if (!candidate.local || !plan_.sla.ttft) return true;
  const double gone = seconds_between(receipt_.arrived, SteadyClock::now());
  return gone + candidate.ttft <= std::chrono::duration<double>(*plan_.sla.ttft).count();
}

bool Hedge::is_affordable(const policy::Candidate& second, const Approach& first) {
  const auto most = std::max(tab_.cost_of_prompt(first.candidate, receipt_),
                             tab_.cost_of_prompt(second, receipt_));
  auto pass = fleet_.hedge(*plan_.request_class, most);
  if (!pass || !tab_.cover_beside(second, receipt_)) return false;
  pass_ = std::move(pass);
  return true;
}

}  // namespace spillway
