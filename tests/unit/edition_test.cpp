// Who is under which edition while a canary is tried.
#include "gateway/fleet/edition.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway {
namespace {

constexpr int kKeys = 200;

// Keys whose secrets are their names, but for the first `without`.
std::shared_ptr<const Edition> edition_of(int keys, int without = 0, int limit = 0) {
  auto settings = std::make_shared<config::Settings>();
  for (int i = without; i < keys; ++i) {
    config::Key key;
    key.name = key.secret = key.tenant = "team-" + std::to_string(i);
    key.limits.concurrency = limit;
    settings->keys.push_back(key);
  }
  return std::make_shared<const Edition>(settings, Providers{});
}

class EditionTest : public testing::Test {
 protected:
  EditionTest() { editions_.set(in_force_); }

  int under_canary(double share) {
    editions_.try_out(canary_, share, 7);
    int count = 0;
    for (int i = 0; i < kKeys; ++i)
      count += editions_.enter("team-" + std::to_string(i), "req_1").canary == 7 ? 1 : 0;
    return count;
  }

  const std::shared_ptr<const Edition> in_force_ = edition_of(kKeys);
  const std::shared_ptr<const Edition> canary_ = edition_of(kKeys, 0, 5);
  CurrentEdition editions_;
};

TEST_F(EditionTest, WithoutACanaryEverybodyIsUnderTheOneInForce) {
  const Entry entry = editions_.enter("team-1", "req_1");
  EXPECT_EQ(entry.edition, in_force_);
  EXPECT_EQ(entry.canary, 0u);
  EXPECT_FALSE(editions_.enter("nobody", "req_1").caller);
}

TEST_F(EditionTest, AShareOfTheKeysIsUnderTheCanary) {
  EXPECT_EQ(under_canary(0.0), 0);
  EXPECT_NEAR(under_canary(0.25), 50, 20);
  EXPECT_EQ(under_canary(1.0), kKeys);
}

TEST_F(EditionTest, AKeyHasTheLimitsOfItsOwnSideAndStaysThere) {
  editions_.try_out(canary_, 0.5, 7);
  for (int i = 0; i < kKeys; ++i) {
    const std::string name = "team-" + std::to_string(i);
    const Entry entry = editions_.enter(name, "req_1");
    ASSERT_TRUE(entry.caller);
    EXPECT_EQ(entry.caller->key->limits.concurrency, entry.canary == 7 ? 5 : 0);
    EXPECT_EQ(entry.edition, entry.canary == 7 ? canary_ : in_force_);
    EXPECT_EQ(editions_.enter(name, "req_2").canary, entry.canary);
    EXPECT_EQ(editions_.enter_as(name, name, "req_3").canary, entry.canary);
  }
}

TEST_F(EditionTest, KeysAreThoseOfTheNewerFile) {
  editions_.try_out(edition_of(kKeys + 1, 1), 0.0, 7);
  EXPECT_FALSE(editions_.enter("team-0", "req_1").caller) << "taken away";
  const Entry came = editions_.enter("team-200", "req_1");
  ASSERT_TRUE(came.caller);
  EXPECT_EQ(came.canary, 7u);
  EXPECT_EQ(editions_.enter("team-1", "req_1").canary, 0u);
}

TEST_F(EditionTest, WithoutKeysItIsAShareOfTheRequests) {
  editions_.set(edition_of(0));
  editions_.try_out(edition_of(0), 0.25, 7);
  int count = 0;
  for (int i = 0; i < 400; ++i)
    count += editions_.enter("", "req_" + std::to_string(i)).canary == 7 ? 1 : 0;
  EXPECT_NEAR(count, 100, 35);
}

TEST_F(EditionTest, TheEndOfATrialIsForEverybody) {
  EXPECT_EQ(under_canary(1.0), kKeys);
  editions_.end_trial();
  EXPECT_EQ(editions_.enter("team-1", "req_1").edition, in_force_);
  EXPECT_EQ(under_canary(1.0), kKeys);
  editions_.set(canary_);
  EXPECT_EQ(editions_.enter("team-1", "req_1").edition, canary_);
  EXPECT_EQ(editions_.enter("team-1", "req_1").canary, 0u);
}

}  // namespace
}  // namespace spillway
