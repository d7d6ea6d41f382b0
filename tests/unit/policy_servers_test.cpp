// Several servers behind one target: who is asked for a prompt, and what the policy sees of them.
#include "gateway/policy/servers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace spillway::policy {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const TimePoint kStart{seconds(1'000)};
const Error kDown{Errc::backend_unavailable, "down", "", std::nullopt};
const Error kFull{Errc::rate_limited, "full", "", std::chrono::milliseconds(5'000)};

config::ProviderTarget target_with(std::size_t servers) {
  config::ProviderTarget target;
  target.name = "vllm";
  for (std::size_t i = 0; i < servers; ++i)
    target.base_urls.push_back("http://10.0.0." + std::to_string(i) + ":8000/v1");
  target.breaker = {.window = 2, .failure_share_max = 0.5, .failures_min = 1};
  return target;
}

ChatRequest chat(const std::vector<std::string>& messages) {
  ChatRequest request;
  for (const std::string& content : messages) {
    const bool asks = request.messages.size() % 2 == 0;
    request.messages.push_back({asks ? Role::user : Role::assistant, content, "", true});
  }
  return request;
}

PromptMarks marks_of(const std::vector<std::string>& messages, std::string_view tenant = "t") {
  return PromptMarks(chat(messages), tenant, "m");
}

std::string words(char letter, std::size_t bytes) { return std::string(bytes, letter); }

std::size_t server_for(Servers& servers, const PromptMarks& prompt, bool stays = false,
                       ServerSet among = kAllServers) {
  Call call;
  call.prompt = &prompt;
  call.among = among;
  auto visit = servers.enter(kStart, call);
  EXPECT_TRUE(visit);
  if (!stays) servers.leave(*visit);
  return visit->server;
}

std::uint64_t chosen(const Servers& servers, Chosen how) {
  std::uint64_t sum = 0;
  for (const auto& gauge : servers.gauges(kStart))
    sum += gauge.chosen[static_cast<std::size_t>(how)];
  return sum;
}

TEST(PromptMarks, NameBeginningsOfOneTenantAndModel) {
  const PromptMarks one = marks_of({words('a', 700)});
  ASSERT_EQ(one.all().size(), 3u) << "256, 512 and its end";
  EXPECT_EQ(one.all()[1].bytes, 512u);
  EXPECT_EQ(one.bytes(), 700u);
  const PromptMarks longer = marks_of({words('a', 700), words('b', 100), "and?"});
  EXPECT_EQ(longer.all()[2].hash, one.all()[2].hash) << "the next turn knows the first one's end";
  const PromptMarks strange = marks_of({words('a', 700)}, "another");
  EXPECT_NE(strange.all()[0].hash, one.all()[0].hash);
  EXPECT_NE(PromptMarks(chat({words('a', 700)}), "t", "n").all()[0].hash, one.all()[0].hash);
  EXPECT_TRUE(marks_of({words('a', 255)}).empty());
  EXPECT_EQ(marks_of({words('a', 256)}).all().size(), 1u);
}

TEST(PromptMarks, AreFewHoweverLongThePrompt) {
  const std::vector<std::string> talk(200, words('x', 10'000));
  const PromptMarks marks = marks_of(talk);
  EXPECT_LE(marks.all().size(), PromptMarks::kMax);
  EXPECT_EQ(marks.all().back().bytes, 65'536u);
}

TEST(PrefixTable, ForgetsInTimeAndMakesRoom) {
  PrefixTable table(4);
  table.note(1, 3, kStart);
  table.note(1, 5, kStart);
  EXPECT_EQ(table.servers(1, kStart + minutes(10)), only(3) | only(5));
  EXPECT_EQ(table.servers(1, kStart + minutes(10) + seconds(1)), 0u);
  for (std::uint64_t mark = 2; mark < 6; ++mark) table.note(mark, 0, kStart + seconds(mark));
  EXPECT_EQ(table.servers(1, kStart), 0u) << "the oldest made room";
  EXPECT_EQ(table.servers(2, kStart + seconds(2)), only(0));
}

TEST(Servers, AConversationStaysWhereItBegan) {
  Servers servers(target_with(4), kStart);
  std::map<std::size_t, int> spread;
  for (char user = 'a'; user < 'q'; ++user) {
    std::vector<std::string> talk{words(user, 600)};
    const std::size_t first = server_for(servers, marks_of(talk));
    ++spread[first];
    for (int turn = 0; turn < 5; ++turn) {
      talk.push_back(words(user, 300));
      talk.push_back("more " + std::to_string(turn));
      EXPECT_EQ(server_for(servers, marks_of(talk)), first) << user << turn;
    }
  }
  EXPECT_GE(spread.size(), 3u) << "new ones are spread";
  EXPECT_EQ(chosen(servers, Chosen::affine), 16u * 5u);
}

TEST(Servers, ABeginningThatAllShareIsSharedOutWithinTheBound) {
  Servers servers(target_with(4), kStart);
  for (int i = 0; i < 200; ++i) {
    server_for(servers, marks_of({words('s', 2'000), "", "question " + std::to_string(i)}), true);
    int most = 0, all = 0;
    for (const auto& gauge : servers.gauges(kStart)) {
      most = std::max(most, gauge.facts.in_flight);
      all += gauge.facts.in_flight;
    }
    EXPECT_LE(most, std::max(4, static_cast<int>(std::ceil(1.25 * all / 4)))) << i;
  }
  EXPECT_GT(chosen(servers, Chosen::affine), 150u);
  EXPECT_GT(chosen(servers, Chosen::overflow), 0u);
}

TEST(Servers, AShortCommonBeginningBindsNobody) {
  Servers servers(target_with(2), kStart);
  server_for(servers, marks_of({words('s', 300), "", words('a', 4'000)}));
  server_for(servers, marks_of({words('s', 300), "", words('b', 4'000)}));
  EXPECT_EQ(chosen(servers, Chosen::affine), 0u) << "300 bytes of 4,300";
  server_for(servers, marks_of({words('s', 300), "", words('c', 600)}));
  EXPECT_EQ(chosen(servers, Chosen::affine), 1u) << "300 of 900";
}

TEST(Servers, OneThatIsDownIsLeftOutAndTheTargetIsNot) {
  Servers servers(target_with(3), kStart);
  const PromptMarks prompt = marks_of({words('a', 600)});
  Call call;
  call.prompt = &prompt;
  auto visit = servers.enter(kStart, call);
  ASSERT_TRUE(visit);
  servers.failed(*visit, kDown, kStart);
  servers.leave(*visit);
  EXPECT_NE(server_for(servers, prompt), visit->server);
  EXPECT_EQ(servers.facts(kStart).permission, Permission::closed);
  EXPECT_EQ(servers.facts(kStart).servers, 2);
  EXPECT_EQ(servers.times_opened(), 1);
}

TEST(Servers, TheTargetIsDownWhenAllAre) {
  Servers servers(target_with(2), kStart);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(servers.facts(kStart).permission, Permission::closed);
    auto visit = servers.enter(kStart);
    ASSERT_TRUE(visit);
    servers.failed(*visit, kDown, kStart);
    servers.leave(*visit);
  }
  EXPECT_EQ(servers.facts(kStart).permission, Permission::open);
  EXPECT_EQ(servers.facts(kStart).open_until, kStart + seconds(5));
  EXPECT_FALSE(servers.enter(kStart));
  EXPECT_EQ(servers.facts(kStart + seconds(5)).permission, Permission::probe);
  EXPECT_TRUE(servers.enter(kStart + seconds(5)));
}

TEST(Servers, TheTargetIsFullWhenAllThatAreWellAre) {
  Servers servers(target_with(3), kStart);
  auto first = servers.enter(kStart);
  servers.failed(*first, kDown, kStart);
  servers.leave(*first);
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(servers.facts(kStart).limited_until);
    auto visit = servers.enter(kStart);
    ASSERT_TRUE(visit);
    servers.failed(*visit, kFull, kStart);
    servers.leave(*visit);
  }
  EXPECT_EQ(servers.facts(kStart).limited_until, kStart + seconds(5));
  EXPECT_FALSE(servers.enter(kStart));
}

TEST(Servers, EachHasItsPlaces) {
  config::ProviderTarget target = target_with(2);
  target.concurrency_max = 3;
  Servers servers(target, kStart);
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(servers.enter(kStart)) << i;
  EXPECT_FALSE(servers.enter(kStart));
  EXPECT_EQ(servers.facts(kStart).in_flight, 6);
}

TEST(Servers, OnlyThoseNamedAreAsked) {
  Servers servers(target_with(3), kStart);
  const PromptMarks prompt = marks_of({words('a', 600)});
  const std::size_t known = server_for(servers, prompt);
  const std::size_t next = server_for(servers, prompt, false, kAllServers & ~only(known));
  EXPECT_NE(next, known);
  Call nobody;
  nobody.among = 0;
  EXPECT_FALSE(servers.enter(kStart, nobody));
}

}  // namespace
}  // namespace spillway::policy
