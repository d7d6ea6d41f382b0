// The rows of `targets` that say what a provider asks.
#include "config/schema.h"

namespace spillway::config {
namespace {

constexpr double kPriceMost = 1e13;  // 10,000 usd: sums of millions of answers stay numbers.
constexpr double kTokensMost = 1e9;

const std::vector<Row<ProviderTarget>> kPriceRows = {
    {{.key = "price_per_million.input",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .required = true,
      .sentence = "For a million prompt tokens."},
     field<&ProviderTarget::price, &Price::input_per_million>()},
    {{.key = "price_per_million.output",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .required = true,
      .sentence = "For a million completion tokens."},
     field<&ProviderTarget::price, &Price::output_per_million>()},
    {{.key = "price_per_million.cached_input",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .fallback_sentence = "price_per_million.input",
      .sentence = "For a million prompt tokens that the provider's cache supplied."},
     field<&ProviderTarget::price, &Price::cached_input_per_million>()},
    {{.key = "price_per_million.cache_write",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .fallback_sentence = "price_per_million.input",
      .sentence = "For a million prompt tokens that the provider put into its cache. Anthropic, "
                  "and OpenAI for its newer models, ask 1.25 times the input's price."},
     field<&ProviderTarget::price, &Price::cache_write_per_million>()},
    {{.key = "price_per_million.cache_write_1h",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .fallback_sentence = "price_per_million.cache_write",
      .sentence =
          "The same, where it is kept for an hour: Anthropic asks twice the input's price."},
     field<&ProviderTarget::price, &Price::cache_write_1h_per_million>()},
    {{.key = "price_per_million.audio_input",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .fallback_sentence = "price_per_million.input",
      .sentence = "For a million prompt tokens that are sound."},
     field<&ProviderTarget::price, &Price::audio_input_per_million>()},
    {{.key = "price_per_million.audio_output",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .fallback_sentence = "price_per_million.output",
      .sentence = "For a million completion tokens that are sound."},
     field<&ProviderTarget::price, &Price::audio_output_per_million>()},
    {{.key = "price_per_million.long.above",
      .kind = Kind::count,
      .range = {0, kTokensMost},
      .fallback_sentence = "all prompts cost the same",
      .sentence = "Where prompts cost more that are longer than so many tokens, cached ones among "
                  "them (Gemini 2.5 Pro: 200000): all tokens of such a request, also its answer's, "
                  "cost what follows."},
     field<&ProviderTarget::price, &Price::long_prompts, &LongPrompts::above>()},
    {{.key = "price_per_million.long.input",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .fallback_sentence = "needed with `above`",
      .sentence = "price_per_million.input of a long prompt."},
     field<&ProviderTarget::price, &Price::long_prompts, &LongPrompts::input_per_million>()},
    {{.key = "price_per_million.long.output",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .fallback_sentence = "needed with `above`",
      .sentence = "price_per_million.output behind a long prompt."},
     field<&ProviderTarget::price, &Price::long_prompts, &LongPrompts::output_per_million>()},
    {{.key = "price_per_million.long.cached_input",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .fallback_sentence = "price_per_million.long.input",
      .sentence = "price_per_million.cached_input of a long prompt."},
     field<&ProviderTarget::price, &Price::long_prompts, &LongPrompts::cached_input_per_million>()},
    {{.key = "price_per_million.long.cache_write",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .fallback_sentence = "price_per_million.long.input",
      .sentence = "price_per_million.cache_write of a long prompt."},
     field<&ProviderTarget::price, &Price::long_prompts, &LongPrompts::cache_write_per_million>()},
    {{.key = "price_per_million.long.cache_write_1h",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .fallback_sentence = "price_per_million.long.cache_write",
      .sentence = "price_per_million.cache_write_1h of a long prompt."},
     field<&ProviderTarget::price, &Price::long_prompts,
           &LongPrompts::cache_write_1h_per_million>()},
    {{.key = "price_per_million.long.audio_input",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .fallback_sentence = "the larger of price_per_million.audio_input and .long.input",
      .sentence = "price_per_million.audio_input of a long prompt."},
     field<&ProviderTarget::price, &Price::long_prompts, &LongPrompts::audio_input_per_million>()},
    {{.key = "price_per_million.long.audio_output",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .fallback_sentence = "the larger of price_per_million.audio_output and .long.output",
      .sentence = "price_per_million.audio_output behind a long prompt."},
     field<&ProviderTarget::price, &Price::long_prompts, &LongPrompts::audio_output_per_million>()},
    {{.key = "batch_discount",
      .kind = Kind::decimal,
      .range = {0, 1},
      .fallback_sentence = "it has no cheaper tier",
      .sentence =
          "Share of the tokens' price that its cheaper tier saves: 0.5 for OpenAI's flex, which "
          "costs what its batches do. Chats of batches and requests that get service_tier: flex "
          "are "
          "sent there with service_tier: flex, and given until timeouts.total; where that tier has "
          "no room they are asked for in the usual one. An answer that does not name the tier is "
          "booked at the full price. Nothing for dialect: anthropic."},
     field<&ProviderTarget::price, &Price::batch_discount>()},
    {{.key = "price_per_request",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .sentence = "For a request, besides its tokens."},
     field<&ProviderTarget::price, &Price::per_request>()},
    {{.key = "price_per_search",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .sentence = "For each time it looks something up in the web: a search of Anthropic's "
                  "web_search tool, an answer to `web_search_options`, which a target without this "
                  "price gets only if it `takes` search. Of rankings, for each search unit; where "
                  "this is nothing, price_per_request is a unit's price."},
     field<&ProviderTarget::price, &Price::per_search>()},
    {{.key = "price_as_told",
      .kind = Kind::flag,
      .sentence =
          "Where its answers say what they cost (OpenRouter, Perplexity, xAI), that is booked. "
          "Else they are booked at the prices here, as estimated where these are off by "
          "more than a hundredth. Holds go by the prices here in any case."},
     field<&ProviderTarget::price, &Price::as_told>()},
};

}  // namespace

const std::vector<Row<ProviderTarget>>& price_rows() { return kPriceRows; }

}  // namespace spillway::config
