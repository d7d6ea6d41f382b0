#include "backends/cloud/dialects/openai_usage.h"

#include "backends/cloud/dialects/members.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

namespace spillway::cloud::openai {
namespace {

constexpr double kChargeMost = 1e15;     // No answer costs more than a million dollars.
constexpr double kNanoUsdPerTick = 0.1;  // xAI's.

// The counts `name`, of sound and of what was put into a cache out of an object of details; what it
// says besides to `others`, with the sound.
struct Details {
  int named = 0;
  int audio = 0;
  int cache_written = 0;
};

Details details_of(std::string_view object, std::string_view name, std::string& others) {
  Details details;
  MemberReader reader(object);
  while (const auto member = reader.next()) {
    if (member->is(name)) {
      details.named = count_of(member->value);
      continue;
    }
    if (member->is("audio_tokens")) details.audio = count_of(member->value);
    // The others are Qwen's name, of its explicit cache, and LiteLLM's: told on as they are, too.
    const bool is_ours = member->is("cache_write_tokens");
    if (is_ours || member->is("cache_creation_input_tokens") || member->is("cache_creation_tokens"))
      details.cache_written = std::max(details.cache_written, count_of(member->value));
    if (!is_ours || details.cache_written == 0) append_member(*member, others);
  }
  return details;
}

// OpenRouter's number, or Perplexity's object with a sum: dollars; xAI's ticks. -1: none of them.
// Nor is what no answer costs, and then who tells it is not believed to the nano-dollar.
std::int64_t charge_of(std::string_view cost, double nano_usd_each, Usage& usage) {
  if (cost.starts_with('{')) cost = member_of(cost, "total_cost");
  double told = -1.0;
  const auto read = std::from_chars(cost.data(), cost.data() + cost.size(), told);
  const bool is_number = read.ec != std::errc::invalid_argument && !cost.empty() &&
                         read.ptr == cost.data() + cost.size();
  const double nano_usd = told * nano_usd_each;
  const bool is_absurd = read.ec == std::errc::result_out_of_range || nano_usd > kChargeMost;
  usage.contradictory |= is_number && is_absurd;
  return is_number && !is_absurd && nano_usd >= 0.0 ? std::llround(nano_usd) : -1;
}

// OpenRouter, asked with a key of one's own at the provider, asks its fee: the provider sends a
// bill of its own.
std::int64_t with_own_key(std::int64_t fee, std::string_view upstream, Usage& usage) {
  const std::int64_t bill = charge_of(upstream, 1e9, usage);
  return fee < 0 || bill < 0 ? -1 : fee + bill;
}

// No part is more than its whole. Where the two contradict each other, the answer is taken to be
// the longer: its thoughts may have been counted beside it.
void fit_parts(Usage& usage) {
  const auto fit = [&usage](int& part, int whole) {
    usage.contradictory |= part > whole;
    part = std::min(part, whole);
  };
  usage.contradictory |= usage.reasoning_tokens > usage.completion_tokens;
  usage.completion_tokens = std::max(usage.completion_tokens, usage.reasoning_tokens);
  fit(usage.cached_tokens, usage.prompt_tokens);
  fit(usage.cache_written_tokens, usage.prompt_tokens - usage.cached_tokens);
  fit(usage.audio_prompt_tokens, usage.prompt_tokens);
  fit(usage.audio_completion_tokens, usage.completion_tokens);
}

// Some count what came from a cache, or went into it, beside the prompt (Bedrock's own counts do).
// Only the sum tells; if that much fits into the prompt, it might be thoughts as well.
void take_cache_into_prompt(int total, Usage& usage) {
  const std::int64_t beside = std::int64_t{usage.cached_tokens} + usage.cache_written_tokens;
  const std::int64_t all = std::int64_t{usage.prompt_tokens} + usage.completion_tokens + beside;
  if (beside == 0 || all != total) return;
  usage.contradictory = beside <= usage.prompt_tokens;
  usage.prompt_tokens += static_cast<int>(beside);
}

// Anthropic's names, as gateways in front of Claude tell them in a chat's usage: beside OpenAI's or
// instead, where the prompt is the sum of what is counted apart, unless the sum of all says that
// it is not. The names of OpenAI's responses have their details apart, within the prompt.
class Anthropics {
 public:
  void take(const Member& member) {
    if (member.is("input_tokens")) input_ = count_of(member.value);
    if (member.is("output_tokens")) output_ = count_of(member.value);
    if (member.is("cache_read_input_tokens")) read_ = count_of(member.value);
    if (member.is("cache_creation_input_tokens")) written_ = count_of(member.value);
    if (member.is("cache_creation"))
      written_1h_ = count_of(member_of(member.value, "ephemeral_1h_input_tokens"));
    if (member.is("input_tokens_details"))
      within_ = count_of(member_of(member.value, "cached_tokens"));
    if (member.is("output_tokens_details")) {
      thought_ = std::max(count_of(member_of(member.value, "thinking_tokens")),
                          count_of(member_of(member.value, "reasoning_tokens")));
    }
  }

  void fill(int total, Usage& usage) const {
    const int written = std::max(written_, written_1h_);
    usage.cached_tokens = std::max({usage.cached_tokens, read_, within_});
    usage.cache_written_tokens = std::max(usage.cache_written_tokens, written);
    usage.cache_written_1h_tokens = written_1h_;
    usage.reasoning_tokens = thought_;
    if (usage.prompt_tokens > 0 || usage.completion_tokens > 0) return;
    usage.completion_tokens = output_;
    const std::int64_t all = std::int64_t{input_} + read_ + written;
    const bool within = total > 0 && total == std::int64_t{input_} + output_;
    usage.prompt_tokens = within ? input_ : static_cast<int>(std::min<std::int64_t>(all, kMost));
  }

 private:
  static constexpr int kMost = std::numeric_limits<int>::max();
  int input_ = 0, output_ = 0;
  int read_ = 0, written_ = 0, written_1h_ = 0;  // Beside `input_`,
  int within_ = 0;                               // …and of it.
  int thought_ = 0;
};

void take_searches(const Member& member, Usage& usage) {
  // Perplexity's and xAI's, OpenRouter's and Qwen's.
  if (member.is("num_search_queries") || member.is("num_sources_used"))
    usage.searches = count_of(member.value);
  if (member.is("server_tool_use"))
    usage.searches = count_of(member_of(member.value, "web_search_requests"));
  if (member.is("plugins"))
    usage.searches = count_of(member_of(member_of(member.value, "search"), "count"));
}

}  // namespace

std::optional<Usage> usage_of(std::string_view object, Counted counted, Beside& beside) {
  if (!object.starts_with('{')) return std::nullopt;
  Usage usage;
  Anthropics named;
  int total = 0;
  bool absurd = false;
  bool own_key = false;
  std::string_view upstream;
  Details prompt, answer;
  MemberReader reader(object);
  while (const auto member = reader.next()) {
    absurd = absurd || is_negative(member->value);
    named.take(*member);
    if (member->is("prompt_tokens")) {
      usage.prompt_tokens = count_of(member->value);
    } else if (member->is("completion_tokens")) {
      usage.completion_tokens = count_of(member->value);
    } else if (member->is("total_tokens")) {
      total = count_of(member->value);
    } else if (member->is("prompt_tokens_details")) {
      prompt = details_of(member->value, "cached_tokens", beside.prompt_details);
    } else if (member->is("completion_tokens_details")) {
      answer = details_of(member->value, "reasoning_tokens", beside.completion_details);
    } else {
      // DeepSeek's, Moonshot's and Mistral's names for OpenAI's
      // prompt_tokens_details.cached_tokens.
      if (member->is("prompt_cache_hit_tokens") || member->is("cached_tokens") ||
          member->is("num_cached_tokens"))
        usage.cached_tokens = std::max(usage.cached_tokens, count_of(member->value));
      if (member->is("prompt_token_details"))
        usage.cached_tokens =
            std::max(usage.cached_tokens, count_of(member_of(member->value, "cached_tokens")));
      take_searches(*member, usage);
      if (member->is("cost")) usage.charged_nano_usd = charge_of(member->value, 1e9, usage);
      if (member->is("cost_in_usd_ticks"))
        usage.charged_nano_usd = charge_of(member->value, kNanoUsdPerTick, usage);
      if (member->is("is_byok")) own_key = member->value == "true";
      if (member->is("cost_details"))
        upstream = member_of(member->value, "upstream_inference_cost");
      append_member(*member, beside.usage);
    }
  }
  if (own_key) usage.charged_nano_usd = with_own_key(usage.charged_nano_usd, upstream, usage);
  usage.cached_tokens = std::max(usage.cached_tokens, prompt.named);
  usage.cache_written_tokens = prompt.cache_written;
  named.fill(total, usage);
  take_cache_into_prompt(total, usage);
  // Mistral counts sound beside the prompt.
  const std::int64_t all = std::int64_t{usage.prompt_tokens} + usage.completion_tokens;
  if (prompt.audio > 0 && all + prompt.audio == total) usage.prompt_tokens += prompt.audio;
  // Of what has no completion some tell the sum alone; Gemini's and xAI's endpoints tell thinking
  // only in the sum.
  int thought = 0;
  if (usage.prompt_tokens > 0 || usage.completion_tokens > 0) {
    const int said = usage.completion_tokens;
    usage.completion_tokens = std::max(said, total - usage.prompt_tokens);
    thought = usage.completion_tokens - said;
  } else if (counted == Counted::read) {
    usage.prompt_tokens = total;
  }
  if (absurd || usage.prompt_tokens == 0) return std::nullopt;
  usage.audio_prompt_tokens = prompt.audio;
  usage.reasoning_tokens = std::max({usage.reasoning_tokens, answer.named, thought});
  usage.audio_completion_tokens = answer.audio;
  fit_parts(usage);
  return usage;
}

void add_meta(std::string_view meta, std::optional<Usage>& usage) {
  const int units = count_of(member_of(member_of(meta, "billed_units"), "search_units"));
  const int prompt = count_of(member_of(member_of(meta, "tokens"), "input_tokens"));
  if (units == 0 && prompt == 0) return;
  if (!usage) usage.emplace().prompt_tokens = prompt;
  if (units > 0) usage->searches = units;
}

}  // namespace spillway::cloud::openai
