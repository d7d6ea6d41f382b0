// LiteLLM's configuration as one of ours: nothing secret carried over, nothing dropped silently,
// and what comes out can be loaded.
#include "config/import_litellm.h"
#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace spillway::config {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kProxy = R"(
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: 100
      input_cost_per_token: 2.5e-06
      output_cost_per_token: 0.00001
      cache_read_input_token_cost: 1.25e-06
      cache_creation_input_token_cost: 3.75e-06
      cache_creation_input_token_cost_above_1hr: 6e-06
      input_cost_per_audio_token: 0.00004
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_base: "https://eu.example/v1", api_key: "sk-proj-abcdefabcdefabcdef0123", timeout: 30}
    model_info: {input_cost_per_token: 0.0000025, output_cost_per_token: 0.00001}
  - model_name: unpriced
    litellm_params: {model: deepseek/deepseek-chat, api_key: os.environ/DEEPSEEK_API_KEY}
  - model_name: claude
    litellm_params: {model: bedrock/anthropic.claude-3}
litellm_settings: {max_budget: 100, budget_duration: 30d, num_retries: 3}
router_settings: {routing_strategy: least-busy}
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
)";

Environment everything() {
  return [](const std::string& name) { return std::optional<std::string>("value-of-" + name); };
}

TEST(ImportLiteLlm, CarriesOverWhatCanBeSaid) {
  const Imported imported = import_litellm(kProxy);
  ASSERT_TRUE(imported.problems.empty());
  EXPECT_THAT(imported.yaml, HasSubstr("key: env:OPENAI_API_KEY"));
  EXPECT_THAT(imported.yaml,
              HasSubstr("price_per_million: {input: 2.5usd, output: 10usd, cached_input: 1.25usd, "
                        "cache_write: 3.75usd, cache_write_1h: 6usd, audio_input: 40usd}"));
  EXPECT_THAT(imported.yaml, HasSubstr("base_url: https://eu.example/v1"));
  EXPECT_THAT(imported.yaml, HasSubstr("litellm: {budget: {month: 100usd, hard: true}}"));
}

TEST(ImportLiteLlm, ABudgetThatStandsElsewhereIsNoted) {
  const Imported imported = import_litellm(
      "model_list:\n  - model_name: g\n    litellm_params: {model: gemini/g}\n"
      "litellm_settings: {max_budget: os.environ/MOST, budget_duration: 30d}\n"
      "general_settings: {master_key: sk-1}\n");
  EXPECT_THAT(imported.yaml, Not(HasSubstr("budget")));
  EXPECT_THAT(imported.notes, Contains(HasSubstr("litellm_settings.max_budget is no number here")));
}

TEST(ImportLiteLlm, TakesThePricesOfLongPrompts) {
  const auto import = [](const std::string& prices) {
    return import_litellm(
        "model_list:\n  - model_name: g\n    litellm_params: {model: gemini/g, api_key: "
        "os.environ/G}\n"
        "    model_info: {input_cost_per_token: 1.25e-06, output_cost_per_token: 1e-05, " +
        prices + "}\n");
  };
  const Imported taken = import(
      "input_cost_per_token_above_200k_tokens: 2.5e-06, output_cost_per_token_above_200k_tokens: "
      "1.5e-05, cache_read_input_token_cost_above_200k_tokens: 2.5e-07");
  EXPECT_THAT(taken.yaml,
              HasSubstr("price_per_million: {input: 1.25usd, output: 10usd, long: {above: 200000, "
                        "input: 2.5usd, output: 15usd, cached_input: 0.25usd}}"));
  EXPECT_THAT(taken.notes, Not(Contains(HasSubstr("_above_200k_tokens"))));
  EXPECT_TRUE(load_text(taken.yaml, "imported.yaml", everything()).settings);
  const Imported cached = import(
      "input_cost_per_token_above_200k_tokens: 2.5e-06, output_cost_per_token_above_200k_tokens: "
      "1.5e-05, cache_read_input_token_cost: 3e-07");
  EXPECT_THAT(cached.yaml, HasSubstr("cached_input: 0.3usd, long: {above: 200000, input: 2.5usd, "
                                     "output: 15usd, cached_input: 0.3usd}}"));
  const Imported half = import("input_cost_per_token_above_200k_tokens: 2.5e-06");
  EXPECT_THAT(half.yaml, HasSubstr("{input: 1.25usd, output: 10usd}"));
  EXPECT_THAT(half.notes, Contains(HasSubstr("`input_cost_per_token_above_200k_tokens` is left")));
}

// No name that stands in the file becomes part of what is written around it.
TEST(ImportLiteLlm, WhatItCopiesIsQuotedWhereYamlNeedsIt) {
  const Imported imported = import_litellm(R"(
model_list:
  - model_name: a
    litellm_params: {model: 'openai/gpt-4o", evil: {x: "1\', api_key: os.environ/A}
    model_info: {input_cost_per_token: 1e-6, output_cost_per_token: 1e-5}
  - model_name: c
    litellm_params: {model: azure/dep, api_base: "https://x.example", api_version: "2024 # 5"}
    model_info: {input_cost_per_token: 1e-6, output_cost_per_token: 1e-5}
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
)");
  const Loaded loaded = load_text(imported.yaml, "imported.yaml", everything());
  ASSERT_TRUE(loaded.settings) << imported.yaml << to_string(loaded.problems.front());
  EXPECT_EQ(loaded.settings->providers.at(0).serves.at(0).upstream, "gpt-4o\", evil: {x: \"1\\");
  EXPECT_EQ(loaded.settings->providers.at(1).api_version, "2024 # 5");
}

// A model of OpenAI's with these prices beside those of tokens.
Imported priced(const std::string& prices) {
  return import_litellm(
      "model_list:\n  - model_name: m\n    litellm_params: {model: openai/m, api_key: "
      "os.environ/A}\n"
      "    model_info: {input_cost_per_token: 1.25e-06, output_cost_per_token: 1e-05, " +
      prices + "}\n");
}

Price price_in(const Imported& imported) {
  const Loaded loaded = load_text(imported.yaml, "imported.yaml", everything());
  EXPECT_TRUE(loaded.settings) << imported.yaml << to_string(loaded.problems.front());
  return loaded.settings ? loaded.settings->providers.front().price : Price();
}

TEST(ImportLiteLlm, TakesWhatRequestsAndSearchesCost) {
  const Imported imported = priced(
      "input_cost_per_request: 0.005, search_context_cost_per_query: {search_context_size_low: "
      "0.01, search_context_size_medium: 0.01, search_context_size_high: 0.01}");
  EXPECT_EQ(price_in(imported).per_request, 5'000'000);
  EXPECT_EQ(price_in(imported).per_search, 10'000'000);
  for (const std::string& note : imported.notes) EXPECT_THAT(note, Not(HasSubstr("_cost_per_")));
  EXPECT_EQ(price_in(priced("search_context_cost_per_query: 0.02")).per_search, 20'000'000);
  EXPECT_EQ(price_in(priced("input_cost_per_query: 0.002")).per_request, 2'000'000)
      << "a ranking's unit";
  const Imported both = priced("input_cost_per_request: 0.005, input_cost_per_query: 0.002");
  EXPECT_EQ(price_in(both).per_request, 5'000'000);
  EXPECT_THAT(both.notes, Contains(HasSubstr("`input_cost_per_query` is left out")));
}

TEST(ImportLiteLlm, NamesThePricesThatHaveNoPlace) {
  const Imported uneven = priced(
      "search_context_cost_per_query: {search_context_size_low: 0.005, search_context_size_high: "
      "0.014}");
  EXPECT_EQ(price_in(uneven).per_search, 0);
  EXPECT_THAT(uneven.notes,
              Contains(HasSubstr("`search_context_cost_per_query` is left out: `pri")));
  for (const char* key : {"output_cost_per_reasoning_token", "google_maps_grounding_cost_per_query",
                          "input_cost_per_image", "tiered_pricing", "off_peak_pricing"})
    EXPECT_THAT(priced(key + std::string(": 0.1")).notes,
                Contains(HasSubstr("m: `" + std::string(key) + "` is left out")));
}

TEST(ImportLiteLlm, LongPromptsHaveAPriceOfSoundThatIsNotLess) {
  const std::string longer =
      ", input_cost_per_token_above_200k_tokens: 2.5e-06, output_cost_per_token_above_200k_tokens: "
      "1.5e-05, input_cost_per_audio_token_above_200k_tokens: 2e-06";
  const Imported taken = priced("input_cost_per_audio_token: 1e-06" + longer);
  EXPECT_EQ(price_in(taken).long_prompts.audio_input_per_million, 2'000'000'000);
  const Imported less = priced("input_cost_per_audio_token: 3e-06" + longer);
  EXPECT_EQ(price_in(less).long_prompts.audio_input_per_million, 3'000'000'000);
  EXPECT_THAT(less.notes,
              Contains(HasSubstr("`input_cost_per_audio_token_above_200k_tokens` is left out")));
  const Imported cheaper = priced(
      "input_cost_per_token_above_200k_tokens: 1e-06, output_cost_per_token_above_200k_tokens: "
      "1.5e-05");
  EXPECT_EQ(price_in(cheaper).long_prompts.above, 0);
  EXPECT_THAT(cheaper.notes,
              Contains(HasSubstr("`input_cost_per_token_above_200k_tokens` is left")));
}

TEST(ImportLiteLlm, OfTwoLengthsTheNearerIsTaken) {
  const std::string at_128k =
      "input_cost_per_token_above_128k_tokens: 2.25e-06, output_cost_per_token_above_128k_tokens: "
      "1.2e-05";
  const std::string at_200k =
      "input_cost_per_token_above_200k_tokens: 2.5e-06, output_cost_per_token_above_200k_tokens: "
      "1.5e-05";
  const Imported both = priced(at_200k + ", " + at_128k);
  EXPECT_EQ(price_in(both).long_prompts.above, 128'000);
  EXPECT_EQ(price_in(both).long_prompts.input_per_million, 2'250'000'000);
  EXPECT_THAT(both.notes,
              Contains(HasSubstr("`input_cost_per_token_above_200k_tokens` is left out: prices")));
  const Imported half = priced(at_200k + ", input_cost_per_token_above_128k_tokens: 2.25e-06");
  EXPECT_EQ(price_in(half).long_prompts.above, 200'000);
  EXPECT_THAT(half.notes,
              Contains(HasSubstr("`input_cost_per_token_above_128k_tokens` is left out: prices")));
}

TEST(ImportLiteLlm, NamesTheDialectAndTheEndpoint) {
  const std::string yaml = import_litellm(R"(
model_list:
  - model_name: claude
    litellm_params: {model: anthropic/claude-x, api_key: os.environ/A}
    model_info: {input_cost_per_token: 3e-06, output_cost_per_token: 1.5e-05}
  - model_name: eu
    litellm_params: {model: azure/gpt, api_base: "https://x.example", api_version: "2025-01-01"}
    model_info: {input_cost_per_token: 1e-06, output_cost_per_token: 1e-06}
  - model_name: vectors
    litellm_params: {model: openai/e, api_key: os.environ/A}
    model_info: {mode: embedding, input_cost_per_token: 1e-08, output_cost_per_token: 0}
)")
                               .yaml;
  const Loaded loaded = load_text(yaml, "imported.yaml", everything());
  ASSERT_TRUE(loaded.settings) << to_string(loaded.problems.front());
  const auto& providers = loaded.settings->providers;
  EXPECT_EQ(providers[0].dialect, "anthropic");
  EXPECT_EQ(providers[1].dialect, "azure");
  EXPECT_EQ(providers[1].api_version, "2025-01-01");
  EXPECT_THAT(yaml, HasSubstr("endpoints: embeddings"));
}

TEST(ImportLiteLlm, NamesEachTargetOnceAndReadsNoEnvironment) {
  const Imported imported = import_litellm(R"(
model_list:
  - model_name: gpt
    litellm_params:
      {model: openai/a, api_key: os.environ/A, rpm: os.environ/RPM, timeout: os.environ/T}
    model_info: {input_cost_per_token: 1e-06, output_cost_per_token: 1e-06}
  - model_name: gpt
    litellm_params: {model: text-completion-openai/b, api_key: os.environ/A}
    model_info: {input_cost_per_token: 1e-06, output_cost_per_token: 1e-06}
  - model_name: gpt-2
    litellm_params: {model: azure/c, api_key: os.environ/A, api_base: "https://x.example/openai/deployments/c"}
    model_info: {input_cost_per_token: 1e-06, output_cost_per_token: 1e-06}
)");
  const Loaded loaded = load_text(imported.yaml, "imported.yaml", everything());
  ASSERT_TRUE(loaded.settings) << to_string(loaded.problems.front());
  const auto& providers = loaded.settings->providers;
  ASSERT_EQ(providers.size(), 3U);
  EXPECT_EQ(providers[1].endpoints, std::vector<std::string>{"completions"});
  EXPECT_EQ(providers[2].base_urls, std::vector<std::string>{"https://x.example"});
  EXPECT_THAT(imported.notes, Contains(HasSubstr("its rpm is `os.environ/RPM`")));
  EXPECT_THAT(imported.notes, Contains(HasSubstr("its timeout is `os.environ/T`")));
}

TEST(ImportLiteLlm, NeverCarriesASecret) {
  const Imported imported = import_litellm(kProxy);
  EXPECT_THAT(imported.yaml, Not(HasSubstr("sk-proj")));
  EXPECT_THAT(imported.yaml, HasSubstr("key: env:GPT_4O_2_KEY"));
  EXPECT_THAT(imported.notes, Contains(HasSubstr("GPT_4O_2_KEY")));
}

TEST(ImportLiteLlm, TellsWhatItLeavesOut) {
  const Imported imported = import_litellm(kProxy);
  EXPECT_THAT(imported.notes, Contains(HasSubstr("claude: `bedrock`")));
  EXPECT_THAT(imported.notes, Contains(HasSubstr("router_settings")));
  EXPECT_THAT(imported.notes, Contains(HasSubstr("unpriced: its price")));
}

constexpr std::string_view kTiers = R"(
model_list:
  - model_name: halved
    litellm_params:
      {model: openai/a, api_key: os.environ/A, weight: 3, max_budget: 10, organization: o}
    model_info:
      input_cost_per_token: 2e-06
      output_cost_per_token: 8e-06
      cache_read_input_token_cost: 5e-07
      input_cost_per_token_flex: 1e-06
      output_cost_per_token_flex: 4e-06
      cache_read_input_token_cost_flex: 2.5e-07
      input_cost_per_token_batches: 1e-06
      max_tokens: 4096
  - model_name: uneven
    litellm_params: {model: openai/b, api_key: os.environ/A}
    model_info: {input_cost_per_token: 2e-06, output_cost_per_token: 8e-06,
      input_cost_per_token_flex: 1e-06, output_cost_per_token_flex: 6e-06}
  - model_name: cached
    litellm_params: {model: openai/c, api_key: os.environ/A}
    model_info: {input_cost_per_token: 2e-06, output_cost_per_token: 8e-06,
      cache_read_input_token_cost: 5e-07, input_cost_per_token_flex: 1e-06,
      output_cost_per_token_flex: 4e-06, cache_read_input_token_cost_flex: 5e-07}
  - model_name: half-told
    litellm_params: {model: openai/d, api_key: os.environ/A}
    model_info: {input_cost_per_token: 2e-06, output_cost_per_token: 8e-06,
      input_cost_per_token_flex: 1e-06}
  - model_name: vectors
    litellm_params: {model: openai/e, api_key: os.environ/A}
    model_info: {mode: embedding, input_cost_per_token: 4e-08, output_cost_per_token: 0,
      input_cost_per_token_flex: 3e-08, output_cost_per_token_flex: 0}
  - model_name: dearer
    litellm_params: {model: openai/f, api_key: os.environ/A}
    model_info: {input_cost_per_token: 1e-06, output_cost_per_token: 1e-06,
      input_cost_per_token_flex: 2e-06, output_cost_per_token_flex: 2e-06}
)";

TEST(ImportLiteLlm, AFlexTierOfOneShareIsADiscount) {
  const Loaded loaded = load_text(import_litellm(kTiers).yaml, "imported.yaml", everything());
  ASSERT_TRUE(loaded.settings) << to_string(loaded.problems.front());
  std::map<std::string, double> discounts;
  for (const ProviderTarget& target : loaded.settings->providers)
    discounts[target.name] = target.price.batch_discount;
  EXPECT_THAT(discounts, testing::UnorderedElementsAre(
                             testing::Pair("halved", 0.5), testing::Pair("uneven", 0.0),
                             testing::Pair("cached", 0.0), testing::Pair("half-told", 0.0),
                             testing::Pair("vectors", 0.25), testing::Pair("dearer", 0.0)));
}

TEST(ImportLiteLlm, DropsNothingOfAModelSilently) {
  const std::vector<std::string> notes = import_litellm(kTiers).notes;
  for (const char* left :
       {"halved: `max_budget`", "halved: `input_cost_per_token_batches` is left out: a flex",
        "halved: `organization` is left out",
        "uneven: `output_cost_per_token_flex` is left out: `batch_discount`",
        "half-told: `input_cost_per_token_flex` is left out"})
    EXPECT_THAT(notes, Contains(HasSubstr(left)));
  EXPECT_THAT(notes, Not(Contains(HasSubstr("max_tokens"))));
  EXPECT_THAT(notes, Not(Contains(HasSubstr("halved: `input_cost_per_token_flex`"))));
  EXPECT_THAT(notes, Not(Contains(HasSubstr("api_key`"))));
}

TEST(ImportLiteLlm, AnUnknownPriceIsRefusedUntilItIsLookedUp) {
  std::string yaml = import_litellm(kProxy).yaml;
  const Loaded refused = load_text(yaml, "imported.yaml", everything());
  ASSERT_FALSE(refused.settings);
  for (const Problem& problem : refused.problems)
    EXPECT_THAT(problem.path, HasSubstr("targets.unpriced.price_per_million"));
  const std::string missing = "# price_per_million: {input: usd, output: usd}";
  yaml.replace(yaml.find(missing), missing.size(),
               "price_per_million: {input: 1usd, output: 2usd}");
  const Loaded loaded = load_text(yaml, "imported.yaml", everything());
  ASSERT_TRUE(loaded.settings) << to_string(loaded.problems.front());
  EXPECT_EQ(loaded.settings->providers.size(), 3U);
  EXPECT_EQ(loaded.settings->providers[1].price.output_per_million, 10'000'000'000);
}

constexpr std::string_view kHouse = R"(
model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/up, api_key: os.environ/A}
    model_info: {input_cost_per_token: 1e-06, output_cost_per_token: 1e-06}
  - model_name: gpt-4o
    litellm_params: {model: openai/other, api_key: os.environ/A}
    model_info: {input_cost_per_token: 1e-06, output_cost_per_token: 1e-06, mode: image_edit}
  - model_name: local
    litellm_params: {model: ollama_chat/llama3, api_base: "http://localhost:11434/"}
    model_info: {input_cost_per_token: 0, output_cost_per_token: 0}
  - model_name: versioned
    litellm_params: {model: ollama/llama3, api_base: "http://localhost:11434/v1"}
    model_info: {input_cost_per_token: 0, output_cost_per_token: 0}
  - model_name: "openai/*"
    litellm_params: {model: openai/*, api_key: os.environ/A}
  - model_name: any
    litellm_params: {model: openai/*, api_key: os.environ/A}
  - model_name: "two words"
    litellm_params: {model: openai/x, api_key: os.environ/A}
litellm_settings:
  drop_params: true
  fallbacks: [{gpt-4o: [claude, gemini]}]
  context_window_fallbacks: []
  max_budget: 100
router_settings:
  model_group_alias:
    gpt-4: gpt-4o
    hidden: {model: gpt-4o, hidden: true}
    bad name: gpt-4o
    lost: nobody
  num_retries: 2
general_settings: {database_url: os.environ/DATABASE_URL, alerting: [slack]}
environment_variables: {FOO: bar}
guardrails: []
)";

TEST(ImportLiteLlm, OtherNamesOfAModelAreServedWhereItIs) {
  const Loaded loaded = load_text(import_litellm(kHouse).yaml, "imported.yaml", everything());
  ASSERT_TRUE(loaded.settings) << to_string(loaded.problems.front());
  std::vector<std::string> served;
  for (const ProviderTarget& target : loaded.settings->providers) {
    for (const ServedModel& model : target.serves)
      served.push_back(target.name + ": " + model.name + " is " + model.upstream);
  }
  EXPECT_THAT(served, testing::UnorderedElementsAre(
                          "gpt-4o: gpt-4o is up", "gpt-4o: gpt-4 is up", "gpt-4o: hidden is up",
                          "gpt-4o-2: gpt-4o is other", "gpt-4o-2: gpt-4 is other",
                          "gpt-4o-2: hidden is other", "local: local is llama3",
                          "versioned: versioned is llama3"));
}

TEST(ImportLiteLlm, OllamaIsAskedWhereItSpeaksOpenAis) {
  const Loaded loaded = load_text(import_litellm(kHouse).yaml, "imported.yaml", everything());
  ASSERT_TRUE(loaded.settings) << to_string(loaded.problems.front());
  int asked = 0;
  for (const ProviderTarget& target : loaded.settings->providers) {
    if (target.dialect != "ollama") continue;
    EXPECT_THAT(target.base_urls, testing::ElementsAre("http://localhost:11434/v1"));
    ++asked;
  }
  EXPECT_EQ(asked, 2);
}

TEST(ImportLiteLlm, NothingVanishes) {
  const std::vector<std::string> notes = import_litellm(kHouse).notes;
  for (const char* left :
       {"`openai/*`: a wildcard is not imported", "`any`: a wildcard is not imported",
        "`two words`: not imported", "gpt-4o: `mode: image_edit`", "`litellm_settings.drop_params`",
        "`litellm_settings.fallbacks`: gpt-4o → claude, gemini is left out",
        "`litellm_settings.context_window_fallbacks` is left out", "litellm_settings.max_budget",
        "`router_settings.model_group_alias.bad name` is left out: a model's name",
        "`router_settings.model_group_alias.lost` is left out: no target serves 'nobody'",
        "`router_settings.num_retries` is left out: the next target is asked",
        "`general_settings.database_url` is left out: the books", "`general_settings.alerting`",
        "`environment_variables.FOO` is left out", "`guardrails` is left out",
        "general_settings.master_key: there is none"})
    EXPECT_THAT(notes, Contains(HasSubstr(left)));
  EXPECT_THAT(notes, Not(Contains(HasSubstr("gpt-4 "))));
  EXPECT_THAT(notes, Not(Contains(HasSubstr("`model_list` is left out"))));
}

constexpr std::string_view kUnprefixed = R"(
model_list:
  - model_name: sonnet
    litellm_params: {model: claude-sonnet-4-5, api_key: os.environ/ANTHROPIC}
    model_info: {input_cost_per_token: 3e-06, output_cost_per_token: 1.5e-05}
  - model_name: flash
    litellm_params: {model: gemini-2.5-flash, api_key: os.environ/GEMINI}
    model_info: {input_cost_per_token: 3e-07, output_cost_per_token: 2.5e-06}
  - model_name: mini
    litellm_params: {model: gpt-4o-mini, api_key: os.environ/OPENAI}
    model_info: {input_cost_per_token: 1e-07, output_cost_per_token: 4e-07}
  - model_name: house
    litellm_params: {model: house-7b, api_base: "https://house.example/v1", api_key: os.environ/H}
    model_info: {input_cost_per_token: 0, output_cost_per_token: 0}
  - model_name: told
    litellm_params: {model: claude-x, custom_llm_provider: openrouter, api_key: os.environ/R}
    model_info: {input_cost_per_token: 3e-06, output_cost_per_token: 1.5e-05}
  - model_name: proxied
    litellm_params: {model: anthropic/claude-x, api_base: "https://proxy.example/", api_key: os.environ/A}
    model_info: {input_cost_per_token: 3e-06, output_cost_per_token: 1.5e-05}
  - model_name: unknown
    litellm_params: {model: command-r, api_key: os.environ/COHERE}
  - model_name: open-weights
    litellm_params: {model: gpt-oss-120b, api_key: os.environ/G}
  - model_name: elsewhere
    litellm_params: {model: openai/x, api_base: os.environ/BASE, api_key: os.environ/B}
)";

TEST(ImportLiteLlm, AKeyGoesOnlyWhereItsModelIs) {
  const Imported imported = import_litellm(kUnprefixed);
  const Loaded loaded = load_text(imported.yaml, "imported.yaml", everything());
  ASSERT_TRUE(loaded.settings) << to_string(loaded.problems.front());
  std::vector<std::string> asked;
  for (const ProviderTarget& target : loaded.settings->providers)
    asked.push_back(target.name + " " + target.dialect + " " + target.base_urls.front());
  EXPECT_THAT(asked,
              testing::UnorderedElementsAre(
                  "sonnet anthropic https://api.anthropic.com/v1",
                  "flash gemini https://generativelanguage.googleapis.com/v1beta/openai",
                  "mini openai https://api.openai.com/v1", "house openai https://house.example/v1",
                  "told openai https://openrouter.ai/api/v1",
                  "proxied anthropic https://proxy.example/v1"));
  for (const char* left :
       {"unknown: its model does not say whose it is", "open-weights: its model does not say",
        "elsewhere: its api_base is `os.environ/BASE`"})
    EXPECT_THAT(imported.notes, Contains(HasSubstr(left)));
}

TEST(ImportLiteLlm, SaysWhatIsNoneAtAll) {
  EXPECT_FALSE(import_litellm("targets: {}").problems.empty());
  EXPECT_FALSE(import_litellm("model_list: [").problems.empty());
}

}  // namespace
}  // namespace spillway::config
