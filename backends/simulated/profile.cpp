#include "backends/simulated/profile.h"

#include <array>

namespace spillway::simulated {

namespace {

struct Row {
  std::string_view name;
  double response_mean_ms;  // At 512 tokens in and 128 out.
  config::NanoUsd per_million;
  double quality;
};

constexpr std::array<Row, 3> kArticle = {{
    {"cloudbrain", 1'280.0, 2'750'000'000, 0.82},
    {"ai-hub", 980.0, 1'980'000'000, 0.79},
    {"openmodel", 1'150.0, 2'100'000'000, 0.85},
}};
constexpr std::string_view kInstant = "instant";

constexpr double kFirstTokenShare = 0.4;  // Of the response's mean.

Profile profile_of(const Row& row) {
  const double mean = row.response_mean_ms / 1'000.0;
  Profile profile;
  profile.name = row.name;
  profile.latency.first_token_mean = kFirstTokenShare * mean;
  profile.latency.first_token_sigma = 0.5;
  profile.latency.per_token_mean =
      (1.0 - kFirstTokenShare) * mean / profile.latency.reference_output;
  profile.latency.per_token_sigma = 0.2;
  profile.limit = RateLimit{1'500.0, 3'000'000.0, 256};
  profile.price = config::Price{row.per_million, row.per_million, row.per_million, row.per_million};
  profile.quality = row.quality;
  return profile;
}

}  // namespace

LatencyLaw LatencyLaw::with_response_mean(double seconds) const {
  LatencyLaw law = *this;
  law.first_token_mean *= seconds / response_mean();
  law.per_token_mean *= seconds / response_mean();
  return law;
}

std::optional<Profile> find_profile(std::string_view name) {
  for (const Row& row : kArticle) {
    if (row.name == name) return profile_of(row);
  }
  if (name != kInstant) return std::nullopt;
  Profile instant;
  instant.name = kInstant;
  instant.latency.input_tokens_per_second = 0.0;
  return instant;
}

std::vector<std::string> profile_names() {
  std::vector<std::string> names;
  for (const Row& row : kArticle) names.emplace_back(row.name);
  names.emplace_back(kInstant);
  return names;
}

}  // namespace spillway::simulated
