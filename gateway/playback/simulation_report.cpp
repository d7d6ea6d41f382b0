#include "gateway/playback/simulation_report.h"

#include "gateway/playback/trace_asks.h"
#include "gateway/policy/plan.h"
#include "gateway/policy/price.h"
#include "gateway/simulate/node_cost.h"

#include <algorithm>
#include <cmath>
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

bool kept(const simulate::TraceRequest& request, const TracePromise& promise,
          const SimulatedAnswer& answer) {
  if (answer.failed) return false;
  if (promise.waits) return answer.finish <= promise.deadline;
  const double further = std::max(1, request.completion_tokens - 1);
  return answer.first_token - request.at <= promise.ttft &&
         (answer.finish - answer.first_token) / further <= promise.per_token;
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

// How long answers took.
class Times {
 public:
  void add(const TracePromise& promise, double asked, const SimulatedAnswer& answer) {
    const double first = answer.first_token - asked;
    by_class_[promise.request_class->name].push_back(first);
    if (promise.waits) return;
    ttft_.push_back(first);
    response_.push_back(answer.finish - asked);
    response_sum_ += response_.back();
    if (answer.predicted_ttft <= 0.0) return;
    errors_.push_back(std::abs(answer.predicted_ttft - first) / first);
    within_ += first <= answer.ttft_bound ? 1 : 0;
  }

  void tell(SimulationFigures& figures) {
    figures.ttft = quantiles(ttft_);
    figures.response = quantiles(response_);
    const auto count = static_cast<double>(response_.size());
    figures.response_mean = response_.empty() ? 0.0 : response_sum_ / count;
    figures.bound_kept = percent(within_, errors_.size());
    figures.prediction_error = quantile(errors_, 0.5);
    for (auto& [name, of_class] : figures.classes) of_class.ttft = quantiles(by_class_[name]);
  }

 private:
  std::vector<double> ttft_, response_, errors_;
  std::map<std::string, std::vector<double>> by_class_;
  double response_sum_ = 0.0;
  std::size_t within_ = 0;
};

void tell_prices(const config::Settings& settings, double hours, double tokens,
                 SimulationFigures& figures) {
  if (!settings.local.empty()) {
    figures.node_usd = simulate::NodeCost{}.usd_per_hour() * hours;
    figures.priced_node_usd =
        static_cast<double>(policy::hourly_cost(settings.local.front())) * 1e-9 * hours;
  }
  const double millions = tokens * 1e-6;
  figures.usd_per_million = (figures.cloud_usd + figures.node_usd) / millions;
  figures.priced_per_million = (figures.cloud_usd + figures.priced_node_usd) / millions;
}

void print_classes(const std::map<std::string, SimulationFigures::OfClass>& classes,
                   std::FILE* out) {
  std::fprintf(out, "\n  %-22s %9s %9s %11s %11s %12s\n", "class", "requests", "broken", "TTFT P50",
               "P99", "to providers");
  for (const auto& [name, one] : classes)
    std::fprintf(out, "  %-22s %9d %9d %9.3f s %9.3f s %12s\n", name.c_str(), one.share.requests,
                 one.share.broken, one.ttft.p50, one.ttft.p99,
                 ("$" + std::to_string(one.cloud_usd)).c_str());
}

}  // namespace

std::string target_of(const SimulationSetup& setup, const SimulatedAnswer& answer) {
  return answer.failed ? "nobody" : target_at(setup, answer.provider);
}

std::string reason_of(const SimulatedAnswer& answer) {
  return std::string(answer.refusal ? name_of(*answer.refusal) : policy::name_of(answer.reason));
}

SimulationFigures figures_of(const SimulationSetup& setup, const simulate::Replay& replay,
                             const std::vector<SimulatedAnswer>& answers,
                             const SimulationSetup* promises_of) {
  const SimulationSetup& promising = promises_of == nullptr ? setup : *promises_of;
  const TraceAsks asks(promising.settings, {promising.model, promising.batch_class}, replay);
  SimulationFigures figures;
  Times times;
  std::size_t attained = 0, in_time = 0;
  double tokens = 0.0, last = replay.length;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const simulate::TraceRequest& request = replay.requests[i];
    const TracePromise& promise = asks.promise(i);
    const SimulatedAnswer& answer = answers[i];
    ++(promise.waits ? figures.batch : figures.interactive);
    const bool well = kept(request, promise, answer);
    auto& of_class = figures.classes[promise.request_class->name];
    count(of_class.share, well);
    count(figures.targets[target_of(setup, answer)], well);
    count(figures.reasons[reason_of(answer)], well);
    figures.failed += answer.failed ? 1 : 0;
    (promise.waits ? in_time : attained) += well ? 1 : 0;
    if (answer.failed) continue;
    of_class.cloud_usd += static_cast<double>(answer.cost) * 1e-9;
    figures.cloud_usd += static_cast<double>(answer.cost) * 1e-9;
    tokens += request.prompt_tokens + request.completion_tokens;
    last = std::max(last, answer.finish);
    times.add(promise, request.at, answer);
  }
  figures.attainment = percent(attained, figures.interactive);
  figures.in_time = percent(in_time, figures.batch);
  figures.held_most = most_held(replay, answers);
  times.tell(figures);
  tell_prices(*setup.settings, last / 3'600.0, tokens, figures);
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
  if (figures.priced_node_usd > 0.0)
    std::fprintf(out, "node         $%.2f by the policy's own price of it: $%.4f per M tokens\n",
                 figures.priced_node_usd, figures.priced_per_million);
  std::fprintf(out,
               "prediction   median |predicted - observed| local TTFT %.1f %%, 95 %% bound held "
               "%.1f %%\n",
               100.0 * figures.prediction_error, figures.bound_kept);
  std::fprintf(out, "held         %d at once at most\n", figures.held_most);
  print_classes(figures.classes, out);
  print_shares("target", figures.targets, out);
  print_shares("reason", figures.reasons, out);
}

bool write_decisions(const std::string& path, const SimulationSetup& setup,
                     const simulate::Replay& replay, const std::vector<SimulatedAnswer>& answers) {
  std::FILE* const file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  std::fprintf(file, "id,at_ms,target\n");
  const TraceAsks asks(setup.settings, {setup.model, setup.batch_class}, replay);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const SimulatedAnswer& answer = answers[i];
    const auto row = [&, &request = replay.requests[i]](std::string target) {
      if (target == "local" && asks.promise(i).waits) target = "local-batch";
      std::fprintf(file, "%llu,%.3f,%s\n", static_cast<unsigned long long>(request.id),
                   1e3 * answer.decided, target.c_str());
    };
    if (answer.order.empty()) row(target_of(setup, answer));
    for (const std::int8_t place : answer.order) row(target_at(setup, place));
  }
  return std::fclose(file) == 0;
}

}  // namespace spillway
