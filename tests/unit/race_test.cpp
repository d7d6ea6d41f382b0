// Two candidates asked for one answer: who wins, who is left, and that the race ends in every case.
#include "gateway/request/race.h"

#include "backends/contract/bridge.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace spillway {
namespace {

namespace net = boost::asio;
using std::chrono::milliseconds;

// Says a word, or fails, after so long; if at all.
struct Script {
  std::optional<milliseconds> after;
  bool fails = false;
};

class ScriptedBackend final : public Backend {
 public:
  ScriptedBackend(net::io_context& context, Script script) : context_(context), script_(script) {}

  const std::string& name() const override { return name_; }

  Async<std::unique_ptr<TokenStream>> open(std::shared_ptr<const ChatRequest> request,
                                           Terms) override {
    ++asked;
    bridge = std::make_shared<Bridge>(context_.get_executor(), 8, [] {});
    bridge->at_work(true);
    if (script_.after) {
      timer_.emplace(context_, *script_.after);
      timer_->async_wait([bridge = bridge, fails = script_.fails](auto error) {
        if (error) return;
        Delta word;
        word.text = "word";
        if (fails) bridge->fail({Errc::backend_unavailable, "failed", "", std::nullopt});
        if (!fails) bridge->push(std::move(word));
      });
    }
    co_return stream_over(bridge, std::move(request));
  }

  int asked = 0;
  std::shared_ptr<Bridge> bridge;

 private:
  const std::string name_ = "scripted";
  net::io_context& context_;
  const Script script_;
  std::optional<net::steady_timer> timer_;
};

constexpr milliseconds kLate{20};

class RaceTest : public testing::Test {
 protected:
  // Runs a race of the two; `leave_after`: the client goes away then.
  void run(Script first, Script second, std::optional<milliseconds> leave_after = std::nullopt,
           bool hedges = true) {
    auto settings = std::make_shared<config::Settings>();
    Providers providers;
    for (const auto& [name, script] : {std::pair("first", first), {"second", second}}) {
      settings->providers.push_back({.name = name, .base_urls = {"http://127.0.0.1:1/v1"}});
      backends_[name] = std::make_shared<ScriptedBackend>(context_, script);
      providers[name].push_back(backends_[name]);
    }
    fleet_.adopt(*settings);
    edition_.emplace(settings, std::move(providers));
    race_.emplace(dispatcher_, *edition_, approach_to("first"));
    net::cancellation_signal leave;
    net::steady_timer left(context_);
    if (leave_after) {
      left.expires_after(*leave_after);
      left.async_wait([&](auto error) {
        if (!error) leave.emit(net::cancellation_type::terminal);
      });
    }
    net::co_spawn(context_, race(hedges),
                  net::bind_cancellation_slot(leave.slot(), [&](std::exception_ptr thrown) {
                    threw_ = thrown != nullptr;
                    ended_ = true;
                    left.cancel();
                  }));
    context_.run_for(std::chrono::seconds(5));
    EXPECT_TRUE(ended_) << "it goes on for ever";
    EXPECT_FALSE(threw_);
  }

  static Approach approach_to(std::string_view target) {
    Approach approach;
    approach.candidate.target = target;
    approach.request = std::make_shared<const ChatRequest>();
    approach.tenant = "t";
    approach.patience = SteadyClock::now() + std::chrono::seconds(60);
    return approach;
  }

  net::awaitable<void> race(bool hedges) {
    co_await net::this_coro::throw_if_cancelled(false);
    const std::function<std::optional<Approach>()> make_second = [hedges] {
      return hedges ? std::optional(approach_to("second")) : std::nullopt;
    };
    co_await race_->run(SteadyClock::now() + kLate, make_second);
  }

  bool is_left(const std::string& name) { return backends_[name]->bridge->abandoned(); }
  Errc failure_of(const Race::Runner& runner) { return runner.outcome->error().code; }

  net::io_context context_;
  Fleet fleet_;
  Dispatcher dispatcher_{nullptr, fleet_};
  std::optional<Edition> edition_;
  std::map<std::string, std::shared_ptr<ScriptedBackend>> backends_;
  std::optional<Race> race_;
  bool ended_ = false;
  bool threw_ = false;
};

TEST_F(RaceTest, NobodyIsAskedBesideOneThatIsInTime) {
  run({milliseconds(1)}, {milliseconds(1)});
  EXPECT_TRUE(race_->first().won());
  EXPECT_FALSE(race_->second());
  EXPECT_EQ(backends_["second"]->asked, 0);
}

TEST_F(RaceTest, TheSecondWinsAndTheFirstIsLeft) {
  run({}, {milliseconds(1)});
  ASSERT_TRUE(race_->second());
  EXPECT_TRUE(race_->second()->won());
  EXPECT_EQ((*race_->second()->outcome)->first.text, "word");
  EXPECT_EQ(failure_of(race_->first()), Errc::cancelled);
  EXPECT_TRUE(race_->first().approach.at_work);
  EXPECT_TRUE(is_left("first"));
}

TEST_F(RaceTest, TheFirstWinsAllTheSame) {
  run({milliseconds(60)}, {});
  EXPECT_TRUE(race_->first().won());
  EXPECT_EQ(failure_of(*race_->second()), Errc::cancelled);
  EXPECT_TRUE(is_left("second"));
}

TEST_F(RaceTest, WhoFailsEarlyEndsItAlone) {
  run({milliseconds(1), true}, {milliseconds(1)});
  EXPECT_EQ(failure_of(race_->first()), Errc::backend_unavailable);
  EXPECT_FALSE(race_->second());
}

TEST_F(RaceTest, WhoFailsLeavesTheOtherInIt) {
  run({milliseconds(40), true}, {milliseconds(80)});
  EXPECT_TRUE(race_->second()->won());
  EXPECT_EQ(failure_of(race_->first()), Errc::backend_unavailable);
}

TEST_F(RaceTest, ASecondThatFailsLeavesTheFirstInIt) {
  run({milliseconds(100)}, {milliseconds(1), true});
  EXPECT_TRUE(race_->first().won());
  EXPECT_EQ(failure_of(*race_->second()), Errc::backend_unavailable);
}

TEST_F(RaceTest, EndsWhenBothHaveFailed) {
  run({milliseconds(50), true}, {milliseconds(10), true});
  EXPECT_EQ(failure_of(race_->first()), Errc::backend_unavailable);
  EXPECT_EQ(failure_of(*race_->second()), Errc::backend_unavailable);
}

TEST_F(RaceTest, WithoutASecondTheFirstIsWaitedFor) {
  run({milliseconds(60)}, {}, std::nullopt, false);
  EXPECT_TRUE(race_->first().won());
  EXPECT_FALSE(race_->second());
}

TEST_F(RaceTest, WhoLeavesLeavesBoth) {
  run({}, {}, milliseconds(60));
  EXPECT_EQ(failure_of(race_->first()), Errc::cancelled);
  EXPECT_EQ(failure_of(*race_->second()), Errc::cancelled);
  EXPECT_TRUE(is_left("first") && is_left("second"));
}

TEST_F(RaceTest, WhoLeavesBeforeTheSecondIsAskedLeavesTheFirst) {
  run({}, {}, milliseconds(5));
  EXPECT_EQ(failure_of(race_->first()), Errc::cancelled);
  EXPECT_FALSE(race_->second());
}

}  // namespace
}  // namespace spillway
