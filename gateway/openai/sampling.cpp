#include "gateway/openai/sampling.h"

#include "backends/contract/openai_fields.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::openai {
namespace {

using wire::Fields;
using wire::Json;

constexpr int kIntMax = std::numeric_limits<int>::max();
// top_p: 0 means "only the most likely token", which a share just above none of the probability
// says as well.
constexpr double kTopPMin = 1e-9;
constexpr std::size_t kStopsMax = 4;
constexpr std::size_t kStopTokensMax = 1'024;

std::vector<std::string> read_stop(Fields& request) {
  const Json* stop = request.any("stop");
  if (stop == nullptr) return {};
  std::vector<std::string> texts;
  const bool one = stop->is_string();
  if (one) texts.push_back(stop->get<std::string>());
  if (!one && !stop->is_array()) request.fail("stop", "must be a string or an array of strings");
  for (std::size_t i = 0; stop->is_array() && i < stop->size(); ++i) {
    if ((*stop)[i].is_string()) {
      texts.push_back((*stop)[i].get<std::string>());
    } else {
      request.fail("stop[" + std::to_string(i) + "]", "must be a string");
    }
  }
  if (texts.size() > kStopsMax) request.fail("stop", "must have at most 4 strings");
  const auto empty = [](const std::string& text) { return text.empty(); };
  if (std::any_of(texts.begin(), texts.end(), empty)) request.fail("stop", "has an empty string");
  return texts;
}

std::vector<std::int32_t> read_stop_tokens(Fields& request) {
  const Json* list = request.array("stop_token_ids", kStopTokensMax);
  std::vector<std::int32_t> tokens;
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const Json& token = (*list)[i];
    const bool good = token.is_number_unsigned() && token.get<std::uint64_t>() <= kIntMax;
    if (!good) request.fail(Fields::element_name("stop_token_ids", i), "must be a token id");
    if (good) tokens.push_back(token.get<std::int32_t>());
  }
  return tokens;
}

// An id as an object's key.
std::optional<std::int32_t> token_of(std::string_view text) {
  std::int32_t token = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), token);
  const bool whole = error == std::errc() && end == text.data() + text.size() && token >= 0;
  return whole ? std::optional(token) : std::nullopt;
}

// Says nothing that its absence would not.
constexpr std::array<std::string_view, 5> kUsuallyTrue = {
    "add_generation_prompt", "include_reasoning", "separate_reasoning", "skip_special_tokens",
    "spaces_between_special_tokens"};
constexpr std::array<std::string_view, 8> kUsuallyFalse = {
    "continue_final_message",     "echo",
    "include_stop_str_in_output", "no_stop_trim",
    "return_hidden_states",       "return_token_ids",
    "return_tokens_as_token_ids", "use_beam_search"};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_idle(std::string_view field, const Json& value, const Sampling& sampling) {
  if (field == "top_k") return sampling.top_k == 0;
  if (field == "min_p") return sampling.min_p == 0.0;
  if (field == "repetition_penalty") return sampling.repetition_penalty == 1.0;
  if (field == "min_tokens") return sampling.tokens_min == 0;
  if (field == "ignore_eos") return !sampling.ignore_eos;
  if (field == "prompt_logprobs") return !sampling.prompt_logprobs;
  if (is_one_of(kUsuallyTrue, field)) return value == true;
  if (is_one_of(kUsuallyFalse, field)) return value == false;
  if (field == "best_of" || field == "length_penalty") return value == 1;
  if (field == "web_search_options") return value == false;
  if (value.is_array() || field == "chat_template_kwargs") return value.empty();
  const auto type = value.is_object() ? value.find("type") : value.end();
  return field == "thinking" && type != value.end() && *type == "disabled";
}

}  // namespace

Sampling read_sampling(Fields& request, int tokens_least) {
  Sampling sampling;
  const auto is_unsaid = [&](std::string_view name) { return request.any(name) == nullptr; };
  sampling.unsaid = {is_unsaid("temperature"), is_unsaid("top_p"), is_unsaid("top_k"),
                     is_unsaid("min_p"), is_unsaid("repetition_penalty")};
  sampling.temperature = request.number("temperature", {0, 2}).value_or(1.0);
  sampling.top_p = std::max(request.number("top_p", {0, 1}).value_or(1.0), kTopPMin);
  sampling.top_k = std::max(request.integer("top_k", -1, kIntMax).value_or(0), 0);
  sampling.min_p = request.number("min_p", {0, 1}).value_or(0.0);
  sampling.frequency_penalty = request.number("frequency_penalty", {-2, 2}).value_or(0.0);
  sampling.presence_penalty = request.number("presence_penalty", {-2, 2}).value_or(0.0);
  sampling.repetition_penalty = request.number("repetition_penalty", {0, 100, true}).value_or(1.0);
  sampling.seed = request.seed("seed");
  sampling.stop = read_stop(request);
  const auto old_limit = request.integer("max_tokens", tokens_least, kIntMax);
  const auto new_limit = request.integer("max_completion_tokens", tokens_least, kIntMax);
  if (new_limit && old_limit && *new_limit != *old_limit)
    request.fail("max_tokens", "says another limit than max_completion_tokens: give one of them");
  sampling.tokens_max = new_limit ? new_limit : old_limit;
  sampling.tokens_min = request.integer("min_tokens", 0, kIntMax).value_or(0);
  sampling.ignore_eos = request.boolean("ignore_eos").value_or(false);
  sampling.stop_tokens = read_stop_tokens(request);
  sampling.keeps_stop = request.boolean("include_stop_str_in_output").value_or(false);
  sampling.shows_special = !request.boolean("skip_special_tokens").value_or(true);
  if (sampling.tokens_max && sampling.tokens_min > *sampling.tokens_max) {
    request.fail("min_tokens", "must not be larger than max_tokens");
  }
  return sampling;
}

void read_logit_bias(Fields& request, ChatRequest& chat) {
  const Json* bias = request.object("logit_bias");
  if (bias == nullptr || bias->empty()) return;
  chat.needs |= Need::logit_bias;
  for (const auto& [name, by] : bias->items()) {
    const auto token = token_of(name);
    if (!token) request.fail("logit_bias", "must name tokens by their ids");
    const bool in_range = by.is_number() && by.get<double>() >= -100 && by.get<double>() <= 100;
    if (!in_range) request.fail("logit_bias." + name, "must be a number from -100 to 100");
    if (token && in_range) chat.sampling.bias.push_back({*token, by.get<float>()});
  }
}

void read_prompt_logprobs(Fields& request, ChatRequest& chat) {
  const auto likeliest = request.integer("prompt_logprobs", -1, kIntMax);
  if (!chat.stream) chat.sampling.prompt_logprobs = likeliest;
  if (chat.stream && likeliest.value_or(0) != 0)
    request.fail("prompt_logprobs", "is not available with 'stream': true");
}

void read_beyond(Fields& request, ChatRequest& chat) {
  for (const FieldNeed& one : kFieldNeeds) {
    const Json* value = request.any(one.field);
    if (!asks_by(chat.endpoint, one) || value == nullptr) continue;
    if (is_idle(one.field, *value, chat.sampling)) continue;
    chat.beyond.push_back(one);
    chat.needs |= one.need;
    if (one.need == Need::search && chat.searches) chat.searches = 1;
  }
}

void read_unknown(const Json& request, ChatRequest& chat) {
  for (const auto& [name, value] : request.items()) {
    if (!value.is_null() && !is_known_field(chat.endpoint, name)) chat.unknown.push_back(name);
  }
}

void read_stream_options(Fields& request, ChatRequest& chat, std::optional<Error>& error) {
  chat.stream = request.boolean("stream").value_or(false);
  Json* options = request.object("stream_options");
  if (options == nullptr) return;
  if (!chat.stream) request.fail("stream_options", "is allowed only with 'stream': true");
  Fields fields(*options, "stream_options.", error);
  chat.include_usage = fields.boolean("include_usage").value_or(false);
  fields.boolean("include_obfuscation");
  for (const auto& [name, value] : options->items()) {  // vLLM's continuous_usage_stats…
    const bool is_known = name == "include_usage" || name == "include_obfuscation";
    const bool is_idle = value.is_null() || value == false;
    if (!is_known && !is_idle) chat.hints.push_back("stream_options." + name);
  }
}

}  // namespace spillway::openai
