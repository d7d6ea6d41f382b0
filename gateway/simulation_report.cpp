#include "gateway/simulation_report.h"

#include "gateway/policy/plan.h"
#include "gateway/simulate/node_cost.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

namespace spillway {
namespace {

double quantile(std::vector<double>& values, double q) {
  if (values.empty()) return 0.0;
  const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

Quantiles3 quantiles(std::vector<double>& values) {
  return {quantile(values, 0.50), quantile(values, 0.90), quantile(values, 0.99)};
}

double per_token_promise(const config::Settings& settings) {
  for (const config::RequestClass& one : settings.policy.classes) {
    if (one.name == settings.policy.default_class && one.sla.per_token)
      return std::chrono::duration<double>(*one.sla.per_token).count();
  }
  return std::numeric_limits<double>::infinity();
}

bool kept(const simulate::TraceRequest& request, const SimulatedAnswer& answer, double per_token) {
  if (answer.failed) return false;
  if (request.batch) return answer.finish <= request.deadline;
  const double further = std::max(1, request.completion_tokens - 1);
  return answer.first_token - request.at <= request.ttft_slo &&
         (answer.finish - answer.first_token) / further <= per_token;
}

void count(SimulationFigures::Share& share, bool well) {
  ++share.requests;
  share.broken += well ? 0 : 1;
}

void print_shares(const char* title, const std::map<std::string, SimulationFigures::Share>& shares,
                  std::FILE* out) {
  std::fprintf(out, "\n  %-22s %9s %9s\n", title, "requests", "broken");
  for (const auto& [name, share] : shares)
    std::fprintf(out, "  %-22s %9d %9d\n", name.c_str(), share.requests, share.broken);
}

std::string target_at(const SimulationSetup& setup, int place) {
  return place < 0 ? "local" : setup.settings->providers[static_cast<std::size_t>(place)].name;
}

int most_held(const simulate::Replay& replay, const std::vector<SimulatedAnswer>& answers) {
  std::vector<std::pair<double, int>> changes;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].decided <= replay.requests[i].at) continue;
    changes.emplace_back(replay.requests[i].at, 1);
    changes.emplace_back(answers[i].decided, -1);
  }
  std::sort(changes.begin(), changes.end());
  int held = 0, most = 0;
  for (const auto& [at, change] : changes) most = std::max(most, held += change);
  return most;
}

double percent(std::size_t part, std::size_t whole) {
  return whole == 0 ? 100.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::string target_of(const SimulationSetup& setup, const SimulatedAnswer& answer) {
  return answer.failed ? "nobody" : target_at(setup, answer.provider);
}

std::string reason_of(const SimulatedAnswer& answer) {
  return std::string(answer.refusal ? name_of(*answer.refusal) : policy::name_of(answer.reason));
}

SimulationFigures figures_of(const SimulationSetup& setup, const simulate::Replay& replay,
                             const std::vector<SimulatedAnswer>& answers) {
  const double per_token = per_token_promise(*setup.settings);
  SimulationFigures figures;
  std::vector<double> ttft, response, errors;
  std::size_t attained = 0, in_time = 0, within = 0;
  double tokens = 0.0, last = replay.length, response_sum = 0.0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const simulate::TraceRequest& request = replay.requests[i];
    const SimulatedAnswer& answer = answers[i];
    ++(request.batch ? figures.batch : figures.interactive);
    const bool well = kept(request, answer, per_token);
    count(figures.targets[target_of(setup, answer)], well);
    count(figures.reasons[reason_of(answer)], well);
    figures.failed += answer.failed ? 1 : 0;
    (request.batch ? in_time : attained) += well ? 1 : 0;
    if (answer.failed) continue;
    figures.cloud_usd += static_cast<double>(answer.cost) * 1e-9;
    tokens += request.prompt_tokens + request.completion_tokens;
    last = std::max(last, answer.finish);
    if (request.batch) continue;
    ttft.push_back(answer.first_token - request.at);
    response.push_back(answer.finish - request.at);
    response_sum += response.back();
    if (answer.predicted_ttft <= 0.0) continue;
    errors.push_back(std::abs(answer.predicted_ttft - ttft.back()) / ttft.back());
    within += ttft.back() <= answer.ttft_bound ? 1 : 0;
  }
  figures.attainment = percent(attained, figures.interactive);
  figures.in_time = percent(in_time, figures.batch);
  figures.ttft = quantiles(ttft);
  figures.response = quantiles(response);
  figures.response_mean =
      response.empty() ? 0.0 : response_sum / static_cast<double>(response.size());
  figures.node_usd = simulate::NodeCost{}.usd_per_hour() * last / 3'600.0;
  figures.usd_per_million = (figures.cloud_usd + figures.node_usd) / tokens * 1e6;
  figures.held_most = most_held(replay, answers);
  figures.bound_kept = percent(within, errors.size());
  figures.prediction_error = quantile(errors, 0.5);
  return figures;
}

void print_figures(const SimulationFigures& figures, std::FILE* out) {
  std::fprintf(out, "requests     %zu interactive, %zu batch, %zu failed\n", figures.interactive,
               figures.batch, figures.failed);
  std::fprintf(out, "attainment   %.2f %% interactive, %.2f %% batch in time\n", figures.attainment,
               figures.in_time);
  std::fprintf(out, "TTFT         P50 %.3f s, P90 %.3f s, P99 %.3f s\n", figures.ttft.p50,
               figures.ttft.p90, figures.ttft.p99);
  std::fprintf(out, "response     mean %.2f s, P50 %.2f s, P90 %.2f s, P99 %.2f s\n",
               figures.response_mean, figures.response.p50, figures.response.p90,
               figures.response.p99);
  std::fprintf(out, "spend        $%.2f to providers, $%.2f for the node: $%.4f per M tokens\n",
               figures.cloud_usd, figures.node_usd, figures.usd_per_million);
  std::fprintf(out,
               "prediction   median |predicted - observed| local TTFT %.1f %%, 95 %% bound held "
               "%.1f %%\n",
               100.0 * figures.prediction_error, figures.bound_kept);
  std::fprintf(out, "held         %d at once at most\n", figures.held_most);
  print_shares("target", figures.targets, out);
  print_shares("reason", figures.reasons, out);
}

bool write_decisions(const std::string& path, const SimulationSetup& setup,
                     const simulate::Replay& replay, const std::vector<SimulatedAnswer>& answers) {
  std::FILE* const file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  std::fprintf(file, "id,at_ms,target\n");
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const SimulatedAnswer& answer = answers[i];
    const auto row = [&, &request = replay.requests[i]](std::string target) {
      if (target == "local" && request.batch) target = "local-batch";
      std::fprintf(file, "%llu,%.3f,%s\n", static_cast<unsigned long long>(request.id),
                   1e3 * answer.decided, target.c_str());
    };
    if (answer.order.empty()) row(target_of(setup, answer));
    for (const std::int8_t place : answer.order) row(target_at(setup, place));
  }
  return std::fclose(file) == 0;
}

}  // namespace spillway
