// Who gets a form when, and who does not, where compiling takes as long as the test wants.
#include "backends/local/grammar/workshop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace spillway::local::grammar {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBytes = 1'000;  // That each grammar takes.

class Nothing final : public Grammar {
 public:
  std::unique_ptr<Matcher> match() const override { return nullptr; }
  std::size_t bytes() const override { return kBytes; }
};

// Compiles "bad" to an error, "slow…" when the gate is opened for it or for all, and all else at
// once.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  std::chrono::milliseconds starting{0};  // That it takes to get ready.
  bool starts = true;
  std::map<std::string, int> compiled;
  std::set<std::string> open_for;

  int times(const std::string& text) {
    std::lock_guard lock(mutex);
    return compiled[text];
  }
  void let_go() {
    std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  void let_go(const std::string& text) {
    std::lock_guard lock(mutex);
    open_for.insert(text);
    changed.notify_all();
  }
};

class GatedCompiler final : public Compiler {
 public:
  explicit GatedCompiler(Gate& gate) : gate_(gate) {}

  Result<void> get_ready() override {
    std::this_thread::sleep_for(gate_.starting);
    if (!gate_.starts) return Error{Errc::backend_unavailable, "no server"};
    return {};
  }

  Result<std::shared_ptr<const Grammar>> compile(const Form& form) override {
    std::unique_lock lock(gate_.mutex);
    ++gate_.compiled[form.text];
    gate_.changed.notify_all();
    if (form.text == "bad") return Error{Errc::invalid_request, "bad", "field", std::nullopt};
    if (form.text.starts_with("slow"))
      gate_.changed.wait(lock, [&] { return gate_.open || gate_.open_for.contains(form.text); });
    return std::make_shared<Nothing>();
  }

 private:
  Gate& gate_;
};

struct House {
  explicit House(WorkshopLimits limits = {})
      : workshop(std::make_unique<Workshop>(std::make_unique<GatedCompiler>(gate), limits)) {}
  ~House() { gate.let_go(); }

  // Each of a tenant of its own, unless one is given.
  std::future<Result<std::shared_ptr<const Grammar>>> ask(std::string text,
                                                          std::string tenant = "") {
    if (tenant.empty()) tenant = text;
    const auto answer = std::make_shared<std::promise<Result<std::shared_ptr<const Grammar>>>>();
    workshop->ask(
        std::make_shared<const Form>(Form{Form::Kind::regex, std::move(text), {}, "regex"}), tenant,
        [answer](auto result) { answer->set_value(std::move(result)); });
    return answer->get_future();
  }
  void await(const std::string& text) {
    std::unique_lock lock(gate.mutex);
    ASSERT_TRUE(gate.changed.wait_for(lock, 10s, [&] { return gate.compiled[text] > 0; }));
  }

  Gate gate;
  std::unique_ptr<Workshop> workshop;
};

TEST(Workshop, AFormIsCompiledOnceAndKept) {
  House house;
  EXPECT_TRUE(house.ask("a").get());
  EXPECT_TRUE(house.ask("a").get());
  EXPECT_EQ(house.gate.times("a"), 1);
  EXPECT_FALSE(house.ask("bad").get());
  EXPECT_FALSE(house.ask("bad").get());
  EXPECT_EQ(house.gate.times("bad"), 2) << "what is wrong is not kept";
}

TEST(Workshop, WhoAsksForTheSameWaitsForTheSame) {
  House house;
  auto one = house.ask("slow");
  house.await("slow");
  auto two = house.ask("slow");
  house.gate.let_go();
  EXPECT_EQ(*one.get(), *two.get());
  EXPECT_EQ(house.gate.times("slow"), 1);
}

TEST(Workshop, ASlowFormStandsInNobodysWay) {
  House house;
  auto slow = house.ask("slow");
  house.await("slow");
  EXPECT_TRUE(house.ask("quick").get());
  house.gate.let_go();
  EXPECT_TRUE(slow.get());
}

TEST(Workshop, WhatTakesTooLongIsRefusedAndKeptOnceItIsThere) {
  House house({.compiling = 20ms});
  auto slow = house.ask("slow");
  const auto refused = slow.get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::invalid_request);
  EXPECT_EQ(refused.error().param, "regex");
  EXPECT_FALSE(house.ask("slow").get()) << "at once, while it is still being compiled";
  house.gate.let_go();
  while (house.workshop->cached_bytes() == 0) std::this_thread::yield();
  EXPECT_TRUE(house.ask("slow").get());
  EXPECT_EQ(house.gate.times("slow"), 1);
}

TEST(Workshop, WhatTheCompilerTakesToGetReadyIsNoFormsTime) {
  House house({.compiling = 20ms});
  house.gate.starting = 200ms;
  auto slow = house.ask("slow");
  EXPECT_EQ(slow.wait_for(100ms), std::future_status::timeout);
  EXPECT_TRUE(house.ask("quick").get());
  EXPECT_EQ(slow.get().error().code, Errc::invalid_request);
}

TEST(Workshop, WhoWaitsForTheCompilerTooLongIsRefusedForNow) {
  House house({.for_a_thread = 20ms});
  house.gate.starting = 200ms;
  EXPECT_EQ(house.ask("quick").get().error().code, Errc::overloaded);
}

TEST(Workshop, ACompilerThatDoesNotGetReadyIsToldOf) {
  House house;
  house.gate.starts = false;
  EXPECT_EQ(house.ask("quick").get().error().code, Errc::backend_unavailable);
  EXPECT_EQ(house.gate.times("quick"), 0);
}

TEST(Workshop, TooManyAreRefusedForNow) {
  House house({.waiting_max = 3});
  std::vector<std::future<Result<std::shared_ptr<const Grammar>>>> waiting;
  for (const char* text : {"slow1", "slow2", "slow3"}) waiting.push_back(house.ask(text));
  const auto refused = house.ask("slow4").get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::overloaded);
  house.gate.let_go();
  for (auto& one : waiting) EXPECT_TRUE(one.get());
  EXPECT_TRUE(house.ask("slow4").get());
}

TEST(Workshop, OneTenantWaitsForItsOwnForms) {
  House house;
  auto slow = house.ask("slow1", "a");
  house.await("slow1");
  std::vector<std::future<Result<std::shared_ptr<const Grammar>>>> behind;
  for (int i = 0; i < 8; ++i) behind.push_back(house.ask("of a " + std::to_string(i), "a"));
  EXPECT_TRUE(house.ask("of b", "b").get());
  EXPECT_TRUE(house.ask("of c", "c").get());
  EXPECT_EQ(behind[0].wait_for(0s), std::future_status::timeout);
  house.gate.let_go();
  for (auto& one : behind) EXPECT_TRUE(one.get());
}

TEST(Workshop, TenantsTakeTurns) {
  House house;
  std::vector<std::future<Result<std::shared_ptr<const Grammar>>>> all;
  for (const char* tenant : {"u", "v", "w", "x", "y", "z"}) {
    all.push_back(house.ask(std::string("slow ") + tenant, tenant));
    house.await(std::string("slow ") + tenant);
  }
  for (int i = 0; i < 5; ++i) all.push_back(house.ask("slow of a " + std::to_string(i), "a"));
  all.push_back(house.ask("slow of b", "b"));
  house.gate.let_go("slow x");
  house.await("slow of a 0");
  house.gate.let_go("slow of a 0");
  house.await("slow of b");
  EXPECT_EQ(house.gate.times("slow of a 1"), 0);
  house.gate.let_go("slow y");
  house.await("slow of a 1");
  house.gate.let_go();
  for (auto& one : all) EXPECT_TRUE(one.get());
}

TEST(Workshop, OneTenantMayNotFillTheRow) {
  House house({.tenant_waiting_max = 2});
  auto one = house.ask("slow1", "a");
  auto two = house.ask("slow2", "a");
  const auto refused = house.ask("slow3", "a").get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::overloaded);
  EXPECT_TRUE(house.ask("of b", "b").get());
  house.gate.let_go();
  EXPECT_TRUE(one.get() && two.get());
}

TEST(Workshop, WhatIsLateStandsInTheWayOfItsTenantAlone) {
  House house({.compiling = 20ms});
  auto one = house.ask("slow1", "a");
  auto two = house.ask("slow2", "b");
  house.await("slow1");
  auto behind = house.ask("of a", "a");
  EXPECT_FALSE(one.get());
  EXPECT_FALSE(two.get());
  const auto refused = behind.get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::overloaded);
  EXPECT_EQ(house.ask("more of a", "a").get().error().code, Errc::overloaded);
  EXPECT_TRUE(house.ask("of c", "c").get());
  EXPECT_TRUE(house.ask("of d", "d").get());
  house.gate.let_go();
}

TEST(Workshop, WhoWaitsForAThreadTooLongIsRefusedForNow) {
  House house({.compiling = 20ms, .for_a_thread = 1s});
  std::vector<std::future<Result<std::shared_ptr<const Grammar>>>> late;
  for (int i = 0; i < 8; ++i) late.push_back(house.ask("slow" + std::to_string(i)));
  for (auto& one : late) EXPECT_EQ(one.get().error().code, Errc::invalid_request);
  const auto refused = house.ask("quick").get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::overloaded);
  house.gate.let_go();
  while (!house.ask("quick").get()) std::this_thread::yield();
}

TEST(Workshop, WhatWasNotUsedForLongestGoesFirst) {
  House house({.cache_bytes_max = 2 * (kBytes + 1)});
  for (const char* text : {"a", "b", "a", "c"}) EXPECT_TRUE(house.ask(text).get());
  EXPECT_LE(house.workshop->cached_bytes(), 2 * (kBytes + 1));
  EXPECT_TRUE(house.ask("a").get());
  EXPECT_TRUE(house.ask("b").get());
  EXPECT_EQ(house.gate.times("a"), 1);
  EXPECT_EQ(house.gate.times("b"), 2);
}

TEST(Workshop, TooLargeAFormIsNotCompiled) {
  House house;
  EXPECT_FALSE(house.ask(std::string(5'000, 'a')).get());
  EXPECT_TRUE(house.gate.compiled.empty());
}

TEST(Workshop, WhoWaitsWhenItClosesIsTold) {
  House house;
  auto first = house.ask("slow1");
  auto second = house.ask("slow2");
  auto third = house.ask("slow3");
  std::thread closing([&] { house.workshop.reset(); });
  for (auto* one : {&first, &second, &third}) {
    const auto told = one->get();
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code, Errc::backend_unavailable);
  }
  house.gate.let_go();
  closing.join();
}

}  // namespace
}  // namespace spillway::local::grammar
