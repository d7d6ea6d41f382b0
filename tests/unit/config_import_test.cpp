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
  for (const char* left : {"halved: `weight` is left out: who serves", "halved: `max_budget`",
                           "halved: `input_cost_per_token_batches` is left out: no line",
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

TEST(ImportLiteLlm, SaysWhatIsNoneAtAll) {
  EXPECT_FALSE(import_litellm("targets: {}").problems.empty());
  EXPECT_FALSE(import_litellm("model_list: [").problems.empty());
}

}  // namespace
}  // namespace spillway::config
