#include "backends/simulated/performance.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

namespace spillway::simulated {

namespace {

constexpr std::array<std::pair<FaultKind, std::string_view>, 10> kFaultNames = {{
    {FaultKind::error, "error"},
    {FaultKind::silence, "silence"},
    {FaultKind::silence_after_headers, "silence_after_headers"},
    {FaultKind::stall, "stall"},
    {FaultKind::cut, "cut"},
    {FaultKind::malformed, "malformed"},
    {FaultKind::no_done, "no_done"},
    {FaultKind::error_event, "error_event"},
    {FaultKind::rate_limited, "rate_limited"},
    {FaultKind::garbage, "garbage"},
}};

// SplitMix64 (Steele, Lea, Flood 2014): a generator that is cheap to make for each request.
class Draws {
 public:
  Draws(std::uint64_t seed, std::uint64_t number) : state_(seed) { state_ = next() ^ number; }

  // Even over [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  // Box and Muller.
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

  // E[exp(mu + sigma·N)] = exp(mu + sigma²/2), hence the correction.
  double lognormal(double mean, double sigma) {
    return mean * std::exp(sigma * normal() - sigma * sigma / 2.0);
  }

 private:
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
};

std::optional<Fault> draw_fault(const Script& script, double draw) {
  for (const Fault& fault : script.faults) {
    if (draw < fault.share) return fault;
    draw -= fault.share;
  }
  return std::nullopt;
}

double reading_seconds(const LatencyLaw& law, int prompt_tokens) {
  if (law.input_tokens_per_second <= 0.0) return 0.0;
  return (prompt_tokens - law.reference_input) / law.input_tokens_per_second;
}

}  // namespace

std::optional<FaultKind> fault_kind_of(std::string_view name) {
  for (const auto& [kind, known] : kFaultNames) {
    if (known == name) return kind;
  }
  return std::nullopt;
}

std::string_view name_of(FaultKind kind) {
  for (const auto& [known, name] : kFaultNames) {
    if (known == kind) return name;
  }
  return "";
}

Performance perform(const Profile& profile, const Script& script, std::uint64_t seed,
                    std::uint64_t request_number, int prompt_tokens) {
  const LatencyLaw law = script.response_mean > 0.0
                             ? profile.latency.with_response_mean(script.response_mean)
                             : profile.latency;
  Draws draws(seed, request_number);
  Performance performance;
  performance.fault = draw_fault(script, draws.uniform());
  const double first = draws.lognormal(law.first_token_mean, law.first_token_sigma);
  const double read = reading_seconds(law, prompt_tokens);
  performance.first_token_seconds = script.slow * std::max(0.0, first + read);
  performance.per_token_seconds =
      script.slow * draws.lognormal(law.per_token_mean, law.per_token_sigma);
  return performance;
}

}  // namespace spillway::simulated
