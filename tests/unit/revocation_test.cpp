// What a file takes away from keys, and what it does not.
#include "gateway/reload/revocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace spillway {
namespace {

using config::Key;
using testing::ElementsAre;

config::Settings with_keys(std::vector<Key> keys) {
  config::Settings settings;
  settings.keys = std::move(keys);
  return settings;
}

Key key(const std::string& name) { return {.name = name, .secret = "sk-" + name, .tenant = name}; }

TEST(Revocation, TakesKeysAndSecretsAway) {
  Key changed = key("b");
  changed.secret = "sk-new";
  const auto less = with_less(with_keys({key("a"), key("b"), key("c")}), {changed, key("c")});
  ASSERT_TRUE(less);
  ASSERT_EQ(less->keys.size(), 2u);
  EXPECT_EQ(less->keys[0].secret, "sk-new");
  EXPECT_EQ(less->keys[1], key("c"));
}

TEST(Revocation, AddsNothing) {
  Key narrow = key("a");
  narrow.local_only = true;
  narrow.models = {"small"};
  narrow.limits.concurrency = 2;
  narrow.budget.day = 5;
  EXPECT_FALSE(with_less(with_keys({narrow}), {narrow, key("b")})) << "a key";
  EXPECT_FALSE(with_less(with_keys({narrow}), {key("a")})) << "what one may do";
}

TEST(Revocation, OfAKeyThatStaysThereIsWhatBothAllow) {
  Key old = key("a"), newer = key("a");
  old.models = {"small", "large"};
  newer.models = {"large", "huge"};
  newer.scopes = {"chat"};
  old.residency = {"eu", "us"};
  newer.residency = {"eu"};
  old.classes = {"one"};
  newer.classes = {"other"};
  old.limits = {.requests_per_minute = 10, .concurrency = 3};
  newer.limits = {.requests_per_minute = 5, .tokens_per_minute = 100, .concurrency = 9};
  newer.budget.month = 7;
  const auto less = with_less(with_keys({old}), {newer});
  ASSERT_TRUE(less);
  const Key& both = less->keys.front();
  EXPECT_THAT(both.models, ElementsAre("large"));
  EXPECT_THAT(both.scopes, ElementsAre("chat"));
  EXPECT_THAT(both.residency, ElementsAre("eu"));
  EXPECT_THAT(both.classes, ElementsAre("other")) << "nothing in common: as the newer says";
  const config::Limits limits{.requests_per_minute = 5, .tokens_per_minute = 100, .concurrency = 3};
  EXPECT_EQ(both.limits, limits);
  EXPECT_EQ(both.budget.month, 7);
}

TEST(Revocation, PlacesWithNothingInCommonKeepDataHere) {
  Key old = key("a"), newer = key("a");
  old.residency = {"eu"};
  newer.residency = {"us"};
  const auto less = with_less(with_keys({old}), {newer});
  ASSERT_TRUE(less);
  EXPECT_TRUE(less->keys.front().local_only);
  EXPECT_THAT(less->keys.front().residency, ElementsAre("eu"));
}

TEST(Revocation, OpensNothing) {
  EXPECT_FALSE(with_less(with_keys({key("a")}), {})) << "without keys everybody is let in";
  const auto less = with_less(with_keys({key("a")}), {key("b")});
  ASSERT_TRUE(less);
  ASSERT_EQ(less->keys.size(), 1u);
  EXPECT_EQ(less->keys.front().secret, "") << "which nobody has";
  EXPECT_FALSE(with_less(with_keys({}), {key("a")}));
}

}  // namespace
}  // namespace spillway
