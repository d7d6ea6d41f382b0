// Who answers first by LiteLLM's configuration: its strategies and weights as ours.
#include "config/import_litellm.h"
#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace spillway::config {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

Environment everything() {
  return [](const std::string& name) { return std::optional<std::string>("value-of-" + name); };
}

// Two deployments of one model, and who is asked first.
Imported balanced(const std::string& weights, const std::string& settings) {
  return import_litellm(
      "model_list:\n"
      "  - model_name: m\n    litellm_params: {model: openai/m, api_key: os.environ/A" +
      weights +
      "}\n    model_info: {input_cost_per_token: 1e-6, output_cost_per_token: 1e-5}\n"
      "  - model_name: m\n    litellm_params: {model: openai/m, api_key: os.environ/B}\n"
      "    model_info: {input_cost_per_token: 1e-6, output_cost_per_token: 1e-5}\n" +
      settings);
}

TEST(ImportedStrategy, IsTakenWithItsWeights) {
  const Loaded weighted =
      load_text(balanced(", weight: 9", "").yaml, "imported.yaml", everything());
  ASSERT_TRUE(weighted.settings);
  EXPECT_EQ(weighted.settings->providers.at(0).weight, 9.0);
  EXPECT_EQ(weighted.settings->providers.at(1).weight, 1.0);
  EXPECT_EQ(weighted.settings->policy.classes.at(0).prefer, Prefer::weighted);
  const auto preferred = [](const std::string& strategy) {
    const Imported imported =
        balanced("", "router_settings: {routing_strategy: " + strategy + "}\n");
    EXPECT_THAT(imported.notes, Not(Contains(HasSubstr("routing_strategy"))));
    const Loaded loaded = load_text(imported.yaml, "imported.yaml", everything());
    EXPECT_TRUE(loaded.settings);
    return loaded.settings->policy.classes.at(0).prefer;
  };
  EXPECT_EQ(preferred("simple-shuffle"), Prefer::weighted);
  EXPECT_EQ(preferred("latency-based-routing"), Prefer::fastest);
  EXPECT_EQ(preferred("cost-based-routing"), Prefer::cheapest);
  const Imported other =
      balanced(", weight: 9", "router_settings: {routing_strategy: least-busy}\n");
  EXPECT_THAT(other.yaml, Not(HasSubstr("classes")));
  EXPECT_THAT(other.notes, Contains(HasSubstr("routing_strategy: least-busy` is left out")));
  EXPECT_THAT(other.notes, Contains(HasSubstr("`weight` of models counts")));
}

}  // namespace
}  // namespace spillway::config
