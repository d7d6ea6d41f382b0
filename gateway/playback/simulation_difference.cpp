#include "gateway/playback/simulation_difference.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace spillway {
namespace {

struct Move {
  int requests = 0;
  double before_usd = 0.0, after_usd = 0.0;
};

double usd(const SimulatedAnswer& answer) { return static_cast<double>(answer.cost) * 1e-9; }

void print_moves(const std::map<std::pair<std::string, std::string>, Move>& moves, std::FILE* out) {
  std::fprintf(out, "\n  %-16s %-16s %9s %12s %12s\n", "from", "to", "requests", "spend before",
               "after");
  for (const auto& [way, move] : moves) {
    std::fprintf(out, "  %-16s %-16s %9d %12s %12s\n", way.first.c_str(), way.second.c_str(),
                 move.requests, ("$" + std::to_string(move.before_usd)).c_str(),
                 ("$" + std::to_string(move.after_usd)).c_str());
  }
}

void print_row(const char* what, double before, double after, const char* unit, std::FILE* out) {
  std::fprintf(out, "  %-32s %12.4f %12.4f %+12.4f %s\n", what, before, after, after - before,
               unit);
}

void print_both(const SimulationFigures& before, const SimulationFigures& after, std::FILE* out) {
  std::fprintf(out, "\n  %-32s %12s %12s %12s\n", "", "before", "after", "difference");
  print_row("attainment, interactive", before.attainment, after.attainment, "%", out);
  print_row("batch in time", before.in_time, after.in_time, "%", out);
  print_row("failed or refused", static_cast<double>(before.failed),
            static_cast<double>(after.failed), "requests", out);
  print_row("TTFT P99, interactive", before.ttft.p99, after.ttft.p99, "s", out);
  print_row("mean response, interactive", before.response_mean, after.response_mean, "s", out);
  print_row("spend at providers", before.cloud_usd, after.cloud_usd, "usd", out);
  print_row("spend per million tokens", before.usd_per_million, after.usd_per_million, "usd", out);
  if (before.priced_node_usd == 0.0 && after.priced_node_usd == 0.0) return;
  print_row("…with the files' own node prices", before.priced_per_million, after.priced_per_million,
            "usd", out);
}

void print_example(const simulate::TraceRequest& request, const SimulatedSide& before,
                   const SimulatedSide& after, std::size_t i, std::FILE* out) {
  const auto side = [&](const SimulatedSide& one) {
    const SimulatedAnswer& answer = one.answers[i];
    const std::string rule = answer.rule.empty() ? "" : ": " + answer.rule;
    return target_of(one.setup, answer) + " (" + reason_of(answer) + rule + ")";
  };
  std::fprintf(out, "  %8llu %10.3f s %6d + %5d tokens  %s → %s\n",
               static_cast<unsigned long long>(request.id), request.at, request.prompt_tokens,
               request.completion_tokens, side(before).c_str(), side(after).c_str());
}

}  // namespace

void print_difference(const simulate::Replay& replay, const SimulatedSide& before,
                      const SimulatedSide& after, int examples, std::FILE* out) {
  std::map<std::pair<std::string, std::string>, Move> moves;
  std::vector<std::size_t> moved;
  for (std::size_t i = 0; i < replay.requests.size(); ++i) {
    const std::string from = target_of(before.setup, before.answers[i]);
    const std::string to = target_of(after.setup, after.answers[i]);
    if (from == to) continue;
    moved.push_back(i);
    Move& move = moves[{from, to}];
    ++move.requests;
    move.before_usd += usd(before.answers[i]);
    move.after_usd += usd(after.answers[i]);
  }
  const double share = replay.requests.empty() ? 0.0
                                               : 100.0 * static_cast<double>(moved.size()) /
                                                     static_cast<double>(replay.requests.size());
  std::fprintf(out, "moved        %zu of %zu requests (%.2f %%)\n", moved.size(),
               replay.requests.size(), share);
  if (!moves.empty()) print_moves(moves, out);
  print_both(figures_of(before.setup, replay, before.answers),
             figures_of(after.setup, replay, after.answers, &before.setup), out);
  const std::size_t shown = std::min<std::size_t>(moved.size(), static_cast<std::size_t>(examples));
  if (shown > 0) std::fprintf(out, "\nexamples\n");
  for (std::size_t i = 0; i < shown; ++i)
    print_example(replay.requests[moved[i]], before, after, moved[i], out);
}

}  // namespace spillway
