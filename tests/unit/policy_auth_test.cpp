// Who is let in: keys, classes that a key may choose, places in the house.
#include "gateway/policy/admission.h"
#include "gateway/policy/auth.h"
#include "gateway/policy/classes.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

namespace spillway::policy {
namespace {

std::shared_ptr<config::Settings> with_keys() {
  auto settings = std::make_shared<config::Settings>();
  settings->keys = {{.name = "demo", .secret = "sk-spillway-demo", .tenant = "team-a"},
                    {.name = "other", .secret = "sk-spillway-dem2", .tenant = "team-b"},
                    {.name = "unset", .secret = ""}};
  return settings;
}

TEST(KeyTable, KnowsACallerByTheSecret) {
  const KeyTable keys(with_keys());
  const auto caller = keys.identify("sk-spillway-dem2");
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->name(), "other");
  EXPECT_EQ(caller->tenant(), "team-b");
}

TEST(KeyTable, RefusesWhatItDoesNotKnowAndDoesNotRepeatIt) {
  const KeyTable keys(with_keys());
  for (const char* given : {"sk-spillway-demO", "sk-spillway-dem",
                            "sk-spillway-demosk-spillway-demo", "sk-spillway-demo ", "x"}) {
    const auto caller = keys.identify(given);
    ASSERT_FALSE(caller) << given;
    EXPECT_EQ(caller.error().code, Errc::unauthenticated);
    EXPECT_EQ(caller.error().message.find(given), std::string::npos);
  }
}

TEST(KeyTable, FindsTheKeyOfEarlierWork) {
  const KeyTable keys(with_keys());
  const auto caller = keys.named("other", "team-b");
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->tenant(), "team-b");
  for (const auto& [name, tenant] :
       {std::pair("sk-spillway-dem2", "team-b"), {"other", "team-a"}}) {
    const auto gone = keys.named(name, tenant);
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code, Errc::unauthenticated);
  }
  const KeyTable open(std::make_shared<config::Settings>());
  EXPECT_EQ(open.named("any", "any")->name(), "anonymous");
}

TEST(KeyTable, AMissingKeyIsNotTheKeyWithoutASecret) {
  const KeyTable keys(with_keys());
  const auto caller = keys.identify("");
  ASSERT_FALSE(caller);
  EXPECT_EQ(caller.error().code, Errc::unauthenticated);
  EXPECT_NE(caller.error().message.find("Authorization"), std::string::npos);
}

TEST(KeyTable, WithoutKeysEverybodyIsAnonymous) {
  const KeyTable keys(std::make_shared<config::Settings>());
  const auto caller = keys.identify("whatever");
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->key, nullptr);
  EXPECT_EQ(caller->tenant(), "anonymous");
}

TEST(Admission, HasAsManyPlacesAsItSays) {
  Admission admission(2);
  auto first = admission.enter();
  std::optional<Permit> second(std::move(*admission.enter()));
  ASSERT_TRUE(first);
  const auto third = admission.enter();
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Errc::overloaded);
  EXPECT_TRUE(third.error().retry_after);
  second.reset();
  EXPECT_EQ(admission.in_flight(), 1);
  EXPECT_TRUE(admission.enter());
  EXPECT_EQ(admission.in_flight(), 1) << "a temporary gives its place back";
}

TEST(Admission, AMovedPermitIsGivenBackOnce) {
  Admission admission(2);
  {
    Permit first = std::move(*admission.enter());
    Permit second = std::move(*admission.enter());
    second = std::move(first);
    EXPECT_EQ(admission.in_flight(), 1);
  }
  EXPECT_EQ(admission.in_flight(), 0);
}

TEST(Admission, IsNeverOverfullUnderThreads) {
  Admission admission(3);
  std::atomic<int> inside{0}, most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        const auto permit = admission.enter();
        if (!permit) continue;
        const int now = ++inside;
        int seen = most.load();
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        --inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most.load(), 3);
  EXPECT_EQ(admission.in_flight(), 0);
}

config::Settings with_classes() {
  config::Settings settings;
  settings.policy.classes = {
      {.name = "enterprise", .match = {{.keys = {"gold"}, .endpoints = {"/v1/chat/completions"}}}},
      {.name = "batch", .match = {{.service_tiers = {"flex"}}, {.models = {"nightly"}}}},
      {.name = "quiet", .match = {{}}},
      {.name = "interactive"}};
  settings.policy.default_class = "interactive";
  return settings;
}

std::string class_name(const config::Settings& settings, const RequestFacts& request) {
  const auto found = class_of(settings, request);
  return found ? (*found)->name : std::string(name_of(found.error().code));
}

TEST(Classes, TheFirstWhoseMatchersAllFit) {
  const config::Settings settings = with_classes();
  const config::Key gold{.name = "gold"};
  EXPECT_EQ(class_name(settings, {}), "interactive") << "a class without matchers matches nothing";
  EXPECT_EQ(class_name(settings, {.service_tier = "flex"}), "batch");
  EXPECT_EQ(class_name(settings, {.model = "nightly"}), "batch");
  EXPECT_EQ(class_name(settings, {.key = &gold}), "interactive") << "the endpoint does not fit";
  EXPECT_EQ(class_name(settings,
                       {.service_tier = "flex", .endpoint = "/v1/chat/completions", .key = &gold}),
            "enterprise");
}

TEST(Classes, AKeysOwnClassBeatsTheMatchersATierBeatsThatAndTheHeaderBeatsAll) {
  const config::Settings settings = with_classes();
  const config::Key key{.name = "gold", .default_class = "quiet"};
  EXPECT_EQ(class_name(settings, {.model = "nightly", .key = &key}), "quiet");
  for (const char* tier : {"", "auto", "default", "priority"})
    EXPECT_EQ(class_name(settings, {.service_tier = tier, .key = &key}), "quiet") << tier;
  EXPECT_EQ(class_name(settings, {.service_tier = "flex", .key = &key}), "batch");
  EXPECT_EQ(
      class_name(settings, {.service_tier = "flex", .class_header = "enterprise", .key = &key}),
      "enterprise");
}

TEST(Classes, TheHeaderIsBoundedByTheKey) {
  const config::Settings settings = with_classes();
  const config::Key key{.name = "silver", .classes = {"interactive", "batch"}};
  EXPECT_EQ(class_name(settings, {.class_header = "batch", .key = &key}), "batch");
  EXPECT_EQ(class_name(settings, {.class_header = "enterprise", .key = &key}), "forbidden");
  const auto unknown = class_of(settings, {.class_header = "premium", .key = &key});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::invalid_request);
  EXPECT_EQ(unknown.error().param, "x-spillway-class");
  EXPECT_NE(unknown.error().message.find("enterprise, batch"), std::string::npos);
}

TEST(Classes, ATierIsBoundedByTheKeyAndServedAsIfNoneHadBeenAskedFor) {
  const config::Settings settings = with_classes();
  const config::Key bound{.name = "silver", .default_class = "quiet", .classes = {"enterprise"}};
  EXPECT_EQ(class_name(settings, {.service_tier = "flex", .key = &bound}), "quiet");
  const config::Key no_own{.name = "silver", .classes = {"enterprise"}};
  EXPECT_EQ(class_name(settings, {.service_tier = "flex", .key = &no_own}), "interactive");
  const config::Key its_own{.name = "tin", .default_class = "batch", .classes = {"quiet"}};
  EXPECT_EQ(class_name(settings, {.service_tier = "flex", .key = &its_own}), "batch");
  EXPECT_EQ(class_name(settings, {.class_header = "batch", .key = &its_own}), "batch");
}

TEST(Classes, WithoutAnyConfiguredThereIsABuiltInOne) {
  EXPECT_EQ(class_name({}, {.service_tier = "flex"}), "default");
}

}  // namespace
}  // namespace spillway::policy
