#include "gateway/telemetry/count.h"

#include "gateway/telemetry/derived.h"

#include <cmath>
#include <string_view>
#include <utility>

namespace spillway::telemetry {
namespace {

constexpr double kNanoUsdPerUsd = 1e9;

class Counting {
 public:
  Counting(const Receipt& receipt, const Vocabulary& words, SeriesStore& store)
      : receipt_(receipt), words_(words), store_(store) {
    class_ = known(Words::request_class, receipt.request_class, Folded::request_class);
    target_ = known(Words::target, receipt.target, Folded::target);
    model_requested_ = known(Words::model, receipt.model_requested, Folded::model);
    model_served_ = known(Words::model, receipt.model_served, Folded::model);
    error_ = receipt.error ? word(receipt.error->code) : kNothing;
  }

  void all() {
    outcome();
    latency();
    tokens();
    own_time();
    decision();
    attempts();
    hedges();
    keeping();
    promises();
    prediction();
    money();
  }

 private:
  Word known(Words words, std::string_view text, Folded label) {
    const Word found = words_.find(words, text);
    if (found == kOther) add(Series::folded, {word(label)}, 1.0);
    return found;
  }

  void add(Series series, const LabelKey& key, double value) {
    if (store_.record(series, key, value, words_)) return;
    store_.record(Series::folded, {word(Folded::series_max)}, 1.0, words_);
  }

  LabelKey answer_key(Word last = kNothing) const {
    return answer_key(target_, model_served_, last);
  }

  LabelKey answer_key(Word target, Word model, Word last) const {
    return {operation_of(receipt_.endpoint), target, model_requested_, model, model, last};
  }

  void outcome() {
    const Word code = code_of(receipt_.http_status);
    const Word stream = static_cast<Word>(kFirstWord + (receipt_.stream ? 1 : 0));
    add(Series::requests, {class_, model_requested_, target_, code, stream, error_}, 1.0);
    if (!receipt_.error) return;
    if (const auto refusal = refusal_of(receipt_)) add(Series::shed, {word(*refusal)}, 1.0);
    if (receipt_.error->code != Errc::cancelled) return;
    const Stage stage = receipt_.first_token ? Stage::streaming : Stage::before_first_token;
    add(Series::client_gone, {word(stage)}, 1.0);
  }

  void latency() {
    add(Series::request_duration, answer_key(error_), receipt_.seconds_total());
    if (!receipt_.stream || !receipt_.first_token) return;
    add(Series::time_to_first_token, answer_key(), receipt_.seconds_to_first_token());
    if (receipt_.error) return;
    if (const auto seconds = seconds_per_token(receipt_)) {
      add(Series::time_per_output_token, answer_key(), *seconds);
    }
  }

  // As each target bills them, where several gave a part.
  void tokens() {
    if (receipt_.parts.size() < 2) return tokens(receipt_.usage, target_, model_served_);
    for (const Part& part : receipt_.parts) {
      tokens(part.usage, words_.find(Words::target, part.target),
             words_.find(Words::model, part.model));
    }
  }

  void tokens(const Usage& usage, Word target, Word model) {
    const std::pair<Token, int> counts[] = {{Token::input, usage.prompt_tokens},
                                            {Token::output, usage.completion_tokens},
                                            {Token::cached_input, usage.cached_tokens},
                                            {Token::reasoning, usage.reasoning_tokens}};
    for (const auto& [type, count] : counts) {
      if (count > 0) add(Series::token_usage, answer_key(target, model, word(type)), count);
    }
  }

  void own_time() {
    const auto decide = seconds_to_decide(receipt_);
    if (!decide) return;
    add(Series::gateway_overhead, {class_, word(Phase::decide)}, *decide);
    const auto wait = seconds_to_dispatch(receipt_);
    if (!wait) return;
    add(Series::queue_wait, {class_, target_}, *wait);
    if (receipt_.attempts.size() > 1) return;
    add(Series::gateway_overhead, {class_, word(Phase::dispatch)}, *wait);
  }

  void decision() {
    if (!receipt_.rule.empty())
      add(Series::rule_decisions, {known(Words::rule, receipt_.rule, Folded::rule)}, 1.0);
    if (receipt_.reason.empty()) return;
    const Word reason = known(Words::reason, receipt_.reason, Folded::reason);
    const Word first = receipt_.attempts.empty()
                           ? target_
                           : words_.find(Words::target, receipt_.attempts.front().target);
    add(Series::route_decisions, {class_, first, reason}, 1.0);
    if (words_.is_spill(reason)) add(Series::spill, {reason}, 1.0);
  }

  // Each attempt but the last was replaced by the one after it.
  void attempts() {
    if (receipt_.retries_used_up) add(Series::retries_used_up, {}, 1.0);
    for (std::size_t i = 0; i + 1 < receipt_.attempts.size(); ++i) {
      const Attempt& failed = receipt_.attempts[i];
      if (failed.beside) continue;
      const Attempt& next = receipt_.attempts[i + 1];
      const Word reason = failed.failure ? word(*failed.failure) : kNothing;
      const Word from = words_.find(Words::target, failed.target);
      if (failed.target == next.target) {
        add(Series::retries, {from, reason}, 1.0);
      } else {
        add(Series::fallbacks, {from, words_.find(Words::target, next.target), reason}, 1.0);
      }
    }
  }

  void hedges() {
    if (!receipt_.hedged) return;
    add(Series::hedges, {class_, word(*receipt_.hedged)}, 1.0);
    const auto twice = static_cast<double>(receipt_.twice_nano_usd());
    add(Series::hedge_cost, {class_}, twice / kNanoUsdPerUsd);
  }

  void promises() {
    keep(Objective::ttft, first_token_kept(receipt_));
    keep(Objective::per_token, per_token_kept(receipt_));
  }

  void keep(Objective objective, std::optional<bool> kept) {
    if (!kept) return;
    add(*kept ? Series::slo_attained : Series::slo_missed, {class_, word(objective)}, 1.0);
  }

  void prediction() {
    const auto predicted = judged_prediction(receipt_);
    if (!predicted) return;
    const double late = predicted->actual - predicted->predicted;
    const Side side = late > 0.0 ? Side::late : Side::early;
    add(Series::prediction_error, {target_, word(side)}, std::abs(late));
    if (predicted->actual <= 0.0) return;
    add(Series::prediction_error_ratio, {target_}, std::abs(late) / predicted->actual);
  }

  void keeping() {
    if (receipt_.unkept) add(Series::unkept, {class_}, 1.0);
    if (receipt_.left_out_fields > 0)
      add(Series::left_out, {words_.find(Words::target, receipt_.target)},
          static_cast<double>(receipt_.left_out_fields));
  }

  void money() {
    for (const Part& part : receipt_.parts) {
      if (part.usage.at_dearer_rate)
        add(Series::dearer_tier, {words_.find(Words::target, part.target)}, 1.0);
      if (part.charged_otherwise)
        add(Series::charged_otherwise, {words_.find(Words::target, part.target)}, 1.0);
    }
    if (receipt_.cost_nano_usd > 0) costs();
    if (receipt_.avoided_nano_usd > 0) {
      add(Series::cost_avoided, {class_, word(Saving::local)},
          static_cast<double>(receipt_.avoided_nano_usd) / kNanoUsdPerUsd);
    }
  }

  void costs() {
    const Word tenant = known(Words::tenant, receipt_.tenant, Folded::tenant);
    for (const Part& part : receipt_.parts) {
      if (part.cost_nano_usd <= 0) continue;
      const Locality where = part.here ? Locality::local : Locality::cloud;
      add(Series::cost,
          {tenant, words_.find(Words::model, part.model), words_.find(Words::target, part.target),
           word(where)},
          static_cast<double>(part.cost_nano_usd) / kNanoUsdPerUsd);
    }
  }

  const Receipt& receipt_;
  const Vocabulary& words_;
  SeriesStore& store_;
  Word class_ = kNothing;
  Word target_ = kNothing;
  Word model_requested_ = kNothing;
  Word model_served_ = kNothing;
  Word error_ = kNothing;
};

}  // namespace

void count_receipt(const Receipt& receipt, const Vocabulary& words, SeriesStore& store) {
  Counting(receipt, words, store).all();
}

void start_at_zero(const Vocabulary& words, SeriesStore& store) {
  const auto start = [&](Series series, const LabelKey& key) {
    store.record(series, key, 0.0, words);
  };
  const auto each = [&](Words set, auto&& visit) {
    for (std::size_t i = 0; i < words.size(set); ++i) visit(static_cast<Word>(kFirstWord + i));
  };
  each(Words::shed, [&](Word reason) { start(Series::shed, {reason}); });
  start(Series::retries_used_up, {});
  each(Words::stage, [&](Word stage) { start(Series::client_gone, {stage}); });
  each(Words::folded, [&](Word label) { start(Series::folded, {label}); });
  each(Words::reason, [&](Word reason) {
    if (words.is_spill(reason)) start(Series::spill, {reason});
  });
  each(Words::rule, [&](Word rule) { start(Series::rule_decisions, {rule}); });
  each(Words::request_class, [&](Word name) {
    start(Series::cost_avoided, {name, word(Saving::local)});
    start(Series::hedge_cost, {name});
    start(Series::unkept, {name});
    each(Words::hedged, [&](Word outcome) { start(Series::hedges, {name, outcome}); });
    each(Words::objective, [&](Word objective) {
      start(Series::slo_attained, {name, objective});
      start(Series::slo_missed, {name, objective});
    });
  });
}

}  // namespace spillway::telemetry
