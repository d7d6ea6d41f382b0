// The price catalogue: what targets take from it, what they keep, and what is told of it.
#include "config/digest.h"
#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace spillway::config {
namespace {

using testing::Contains;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::UnorderedElementsAre;

class Catalogue : public testing::Test {
 protected:
  Catalogue() { mkdtemp(folder_.data()); }
  ~Catalogue() override { std::filesystem::remove_all(folder_); }

  Loaded load(const std::string& catalogue, const std::string& target) {
    std::ofstream(folder_ + "/prices.yaml") << catalogue;
    return load_text(
        "catalogue: prices.yaml\ntargets:\n  hub: {kind: provider, base_url: "
        "'http://127.0.0.1:1/v1', " +
            target + "}\n",
        folder_ + "/spillway.yaml",
        [](const std::string&) { return std::optional<std::string>(); });
  }

  std::string told(const Loaded& loaded) {
    std::string text;
    for (const Problem& problem : loaded.problems) text += to_string(problem) + "\n";
    for (const Problem& warning : loaded.warnings) text += to_string(warning) + "\n";
    return text;
  }

  std::string folder_ = std::filesystem::temp_directory_path() / "spillway-XXXXXX";
  const std::string prices_ =
      "version: 2026-11-01\nproviders:\n  hub:\n"
      "    small-v2: {price_per_million: {input: 1usd, output: 2usd}, price_per_request: 0.01usd,\n"
      "      measured: {ttft_p99: 900ms, quality: 0.8}}\n"
      "    large: {price_per_million: {input: 5usd, output: 9usd}, since: 2020-01-01, until: "
      "2021-01-01}\n";
};

TEST_F(Catalogue, GivesPriceAndMeasurementsByTheProvidersName) {
  const Loaded loaded = load(prices_, "serves: {small: small-v2}");
  ASSERT_TRUE(loaded.settings) << told(loaded);
  const ProviderTarget& hub = loaded.settings->providers.front();
  EXPECT_EQ(hub.price.output_per_million, 2'000'000'000);
  EXPECT_EQ(hub.price.cached_input_per_million, 1'000'000'000);
  EXPECT_EQ(hub.price.per_request, 10'000'000);
  EXPECT_EQ(hub.measured.ttft_p99, Milliseconds(900));
  EXPECT_EQ(hub.measured.quality, 0.8);
}

TEST_F(Catalogue, WhatTheTargetSaysWins) {
  const Loaded loaded =
      load(prices_, "serves: small-v2, price_per_million: {input: 7usd, output: 8usd}");
  ASSERT_TRUE(loaded.settings) << told(loaded);
  EXPECT_EQ(loaded.settings->providers.front().price.input_per_million, 7'000'000'000);
}

TEST_F(Catalogue, WhatBelongsToAPriceComesWithIt) {
  const std::string discounted =
      prices_ + R"(    tiered: {price_per_million: {input: 1usd, output: 2usd},
      price_per_request: 0.01usd, batch_discount: 0.5, measured: {quality: 0.8}}
)";
  const Loaded theirs = load(discounted, "serves: tiered");
  ASSERT_TRUE(theirs.settings) << told(theirs);
  EXPECT_EQ(theirs.settings->providers.front().price.batch_discount, 0.5);
  const Loaded own =
      load(discounted, "serves: tiered, price_per_million: {input: 7usd, output: 8usd}");
  ASSERT_TRUE(own.settings) << told(own);
  const ProviderTarget& hub = own.settings->providers.front();
  EXPECT_EQ(hub.price.batch_discount, 0.0);
  EXPECT_EQ(hub.price.per_request, 0);
  EXPECT_EQ(hub.measured.quality, 0.8);
  const Loaded both = load(discounted,
                           "serves: tiered, batch_discount: 0.25, "
                           "price_per_million: {input: 7usd, output: 8usd}");
  EXPECT_EQ(both.settings->providers.front().price.batch_discount, 0.25);
}

TEST_F(Catalogue, AnUnknownPriceIsRefused) {
  EXPECT_THAT(told(load(prices_, "serves: medium")),
              HasSubstr("targets.hub.price_per_million.input: is missing"));
  EXPECT_THAT(told(load(prices_, "serves: small-v2, catalogued_as: other")),
              HasSubstr("targets.hub.price_per_million.input: is missing"));
}

TEST_F(Catalogue, ModelsOfOnePriceATarget) {
  EXPECT_THAT(told(load(prices_, "serves: [small-v2, large]")),
              HasSubstr("its models cost differently: make them a target each"));
}

TEST_F(Catalogue, APriceThatIsOverIsTold) {
  const Loaded loaded = load(prices_, "serves: large");
  ASSERT_TRUE(loaded.settings);
  EXPECT_THAT(told(loaded), HasSubstr("its price in the catalogue ended on 2021-01-01"));
}

TEST_F(Catalogue, IsCheckedItself) {
  EXPECT_THAT(told(load("providers: {}", "serves: m")), HasSubstr("version is missing"));
  EXPECT_THAT(told(load("version: 2026-11-01\n", "serves: m")), HasSubstr("providers is missing"));
  EXPECT_THAT(told(load("version: 2026-11-01\nproviders: {hub: {m: {prize: 1}}}", "serves: m")),
              HasSubstr("hub.m.prize is no such key"));
  EXPECT_THAT(told(load("a: [", "serves: m")), HasSubstr("2:"));
  EXPECT_THAT(told(load(prices_ + "    bad: {price_per_million: {input: 1, output: 2usd}}\n",
                        "serves: bad")),
              HasSubstr("targets.hub.price_per_million.input: '1' has no unit"));
}

// No line of a batch goes through a provider's batch API.
TEST_F(Catalogue, APriceThatNothingUsesIsRefused) {
  EXPECT_THAT(told(load(prices_ + "    bad: {price_per_million: {input: 1usd, output: 2usd, "
                                  "batch_input: 0.5usd}}\n",
                        "serves: bad")),
              HasSubstr("targets.hub.price_per_million.batch_input: unknown key"));
  EXPECT_THAT(told(load(prices_,
                        "serves: m, price_per_million: {input: 1usd, output: 2usd, "
                        "batch_output: 1usd}")),
              HasSubstr("targets.hub.price_per_million.batch_output: unknown key"));
}

TEST_F(Catalogue, IsNamedWhereItIsWrong) {
  const auto first = [](const Loaded& loaded) { return to_string(loaded.problems.front()); };
  EXPECT_EQ(first(load("providers: {}", "serves: m")),
            "1:12: catalogue: 'prices.yaml': version is missing: the day of its prices, such as "
            "2026-11-26");
  EXPECT_THAT(first(load(prices_ + "    bad: {price_per_million: {input: 1, output: 2usd}}\n",
                         "serves: bad")),
              EndsWith("in the catalogue 'prices.yaml'"));
  EXPECT_THAT(first(load(prices_, "serves: m, price_per_million: {input: 1, output: 2usd}")),
              Not(HasSubstr("catalogue")));
}

TEST_F(Catalogue, IsAmongTheFilesThatWereRead) {
  const std::string name = folder_ + "/prices.yaml", source = folder_ + "/spillway.yaml";
  const Loaded loaded = load(prices_, "serves: small-v2");
  ASSERT_TRUE(loaded.settings) << told(loaded);
  EXPECT_THAT(loaded.files,
              UnorderedElementsAre(Pair(source, testing::_), Pair(name, sha256_hex(prices_))));
  EXPECT_THAT(load("a: [", "serves: m").files, Contains(Pair(name, sha256_hex("a: ["))));
  const Loaded secret = load(prices_, "serves: small-v2, key: 'file:" + folder_ + "/secret'");
  EXPECT_THAT(secret.files, Contains(Pair(folder_ + "/secret", ""))) << "it is not there";
}

TEST_F(Catalogue, AnotherCatalogueIsAnotherConfiguration) {
  const std::string before = load(prices_, "serves: small-v2").settings->sha256;
  EXPECT_NE(load(prices_ + "# changed\n", "serves: small-v2").settings->sha256, before);
}

}  // namespace
}  // namespace spillway::config
