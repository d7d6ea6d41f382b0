// Usage and costs in OpenAI's words: what is counted where, filtered, grouped, and refused by name.
#include "gateway/admin/usage_answers.h"
#include "tests/unit/account_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace spillway::admin {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kSince = "start_time=1700000000&limit=744&bucket_width=1d";

class AdminUsage : public testing::Test {
 protected:
  AdminUsage() {
    auto ledger = account::open_ledger(directory_, 64).value();
    for (const Sent& sent : kSent) {
      const auto hold =
          ledger->hold({"req_" + std::to_string(sent.amount), "acme", sent.key, sent.project, 1});
      account::Posting posting{"interactive", sent.endpoint, sent.model, 0, {}};
      posting.legs.push_back(
          {"ai-hub", "upstream", false, false, {sent.prompt, 20, 10, 0}, sent.amount});
      ledger->settle(*hold, posting);
    }
    EXPECT_TRUE(ledger->flush(5s));
    answers_.emplace(account::open_book({}, directory_.path()).value());
  }

  // All results of all pages, in the order of their buckets.
  json all(Answer (UsageAnswers::*ask)(std::string_view), const std::string& more) {
    json results = json::array();
    std::string page;
    do {
      const Answer answer = ((*answers_).*ask)(kSince + page + more);
      EXPECT_EQ(answer.status, 200) << answer.body;
      const json told = json::parse(answer.body);
      for (const json& bucket : told["data"]) {
        for (const json& result : bucket["results"]) results.push_back(result);
      }
      page = told["has_more"] == true ? "&page=" + told["next_page"].get<std::string>() : "";
    } while (!page.empty());
    return results;
  }

  json completions(const std::string& more) { return all(&UsageAnswers::completions, more); }
  json costs(const std::string& more) { return all(&UsageAnswers::costs, more); }

  // What a refusal says, if it is one of the parameter of that name.
  std::string refused(Answer (UsageAnswers::*ask)(std::string_view), const std::string& more,
                      const std::string& parameter) {
    const Answer answer = ((*answers_).*ask)(kSince + more);
    const json error = json::parse(answer.body).value("error", json::object());
    EXPECT_EQ(answer.status, 400) << more;
    EXPECT_EQ(error.value("param", ""), parameter) << more;
    return error.value("message", "");
  }

  struct Sent {
    const char* endpoint;
    const char* project;
    const char* key;
    const char* model;
    int prompt;
    std::int64_t amount;
  };
  static constexpr Sent kSent[] = {
      {"/v1/chat/completions", "crawler", "one", "auto", 1, 1'000},
      {"/v1/messages", "crawler", "two", "org/a b", 2, 2'000},
      {"/v1/responses", "it's", "two", "auto", 4, 4'000},
      {"/v1/completions", "", "three", "auto", 8, 8'000},
      {"/v1/embeddings", "crawler", "one", "vectors", 16, 16'000},
      {"/v1/moderations", "crawler", "one", "judge", 32, 32'000},
      {"/v1/rerank", "crawler", "one", "ranks", 64, 64'000},
      {"/v2/rerank", "crawler", "one", "ranks", 128, 128'000},
      {"/rerank", "crawler", "one", "ranks", 256, 256'000},
  };

  store::Directory directory_ = *store::Directory::open("");
  std::optional<UsageAnswers> answers_;
};

TEST_F(AdminUsage, EachIsCountedOnItsOwnPage) {
  const json answers = completions("");
  ASSERT_EQ(answers.size(), 1U) << answers;
  EXPECT_EQ(answers[0]["input_tokens"], 1 + 2 + 4 + 8);
  EXPECT_EQ(answers[0]["num_model_requests"], 4);
  EXPECT_EQ(all(&UsageAnswers::embeddings, "")[0]["input_tokens"], 16);
  EXPECT_EQ(all(&UsageAnswers::moderations, "")[0]["input_tokens"], 32);
  EXPECT_EQ(costs("")[0]["amount"]["value"], 511e-6);
}

TEST_F(AdminUsage, WhatTheBookDoesNotKeepIsNotTold) {
  EXPECT_FALSE(completions("")[0].contains("input_audio_tokens"));
  EXPECT_FALSE(completions("")[0].contains("output_audio_tokens"));
}

TEST_F(AdminUsage, OnlyWhatIsAskedForIsAddedUp) {
  const std::pair<const char*, int> kAsked[] = {
      {"&project_ids=crawler", 1 + 2},
      {"&project_ids[]=crawler", 1 + 2},
      {"&project_ids%5B%5D=crawler&project_ids%5b%5d=it%27s", 1 + 2 + 4},
      {"&project_ids=", 8},
      {"&api_key_ids=two", 2 + 4},
      {"&api_key_ids=two&api_key_ids=three", 2 + 4 + 8},
      {"&api_key_ids=two&project_ids=crawler", 2},
      {"&models=org%2Fa+b", 2},
      {"&models=org/a%20b&models=auto&project_ids=it's", 4},
  };
  for (const auto& [filter, tokens] : kAsked) {
    const json results = completions(filter);
    ASSERT_EQ(results.size(), 1U) << filter << results;
    EXPECT_EQ(results[0]["input_tokens"], tokens) << filter;
    EXPECT_EQ(results[0]["project_id"], nullptr) << filter;
  }
  EXPECT_EQ(completions("&project_ids=nobody").size(), 0U);
  EXPECT_EQ(completions("&models=auto'--").size(), 0U);
}

TEST_F(AdminUsage, FiltersAndGroupsGoTogether) {
  const json results = completions("&group_by=project_id,model&api_key_ids=one&api_key_ids=two");
  ASSERT_EQ(results.size(), 3U) << results;
  EXPECT_EQ(results[0]["project_id"], "crawler");
  EXPECT_EQ(results[0]["model"], "auto");
  EXPECT_EQ(results[1]["model"], "org/a b");
  EXPECT_EQ(results[2]["project_id"], "it's");
  EXPECT_EQ(results[2]["input_tokens"], 4);
  EXPECT_EQ(completions("&group_by[]=model&models=auto")[0]["input_tokens"], 1 + 4 + 8);
}

TEST_F(AdminUsage, CostsAreFilteredToo) {
  EXPECT_EQ(costs("&project_ids=it%27s&project_ids=")[0]["amount"]["value"], 12e-6);
  EXPECT_EQ(costs("&api_key_ids[]=two&group_by=api_key_id")[0]["amount"]["value"], 6e-6);
  EXPECT_EQ(costs("&line_items=ai-hub").size(), 1U);
  EXPECT_EQ(costs("&line_items=cloudbrain").size(), 0U);
}

TEST_F(AdminUsage, WhatCannotBeAnsweredIsRefusedByName) {
  const auto usage = &UsageAnswers::completions;
  EXPECT_THAT(refused(usage, "&group_by=user_id", "group_by"), HasSubstr("users are not booked"));
  EXPECT_THAT(refused(usage, "&group_by=model,batch", "group_by"), HasSubstr("by their class"));
  EXPECT_THAT(refused(usage, "&group_by[]=service_tier", "group_by"), HasSubstr("by their class"));
  EXPECT_THAT(refused(usage, "&group_by=colour", "group_by"), HasSubstr("there is no 'colour'"));
  EXPECT_THAT(refused(usage, "&user_ids=u", "user_ids"), HasSubstr("api_key_ids"));
  EXPECT_THAT(refused(usage, "&batch=true", "batch"), HasSubstr("by their class"));
  EXPECT_THAT(refused(usage, "&colour[]=red", "colour"), HasSubstr("there is no such parameter"));
  EXPECT_THAT(refused(usage, "&line_items=a", "line_items"), HasSubstr("no such parameter"));
  EXPECT_THAT(refused(usage, "&bucket_width=1m", "bucket_width"), HasSubstr("minutes"));
  EXPECT_THAT(refused(usage, "&models=%ZZ", "models"), HasSubstr("percent-encoded"));
  for (const char* number : {"-1", "x", "", "1e3", "253402300800", "9223372036854775807"})
    EXPECT_THAT(refused(usage, std::string("&end_time=") + number, "end_time"),
                HasSubstr("whole number"));
  EXPECT_THAT(refused(usage, "&limit=745", "limit"), HasSubstr("from 1 to 744"));
  const auto cost = &UsageAnswers::costs;
  EXPECT_THAT(refused(cost, "&models=auto", "models"), HasSubstr("no such parameter"));
  EXPECT_THAT(refused(cost, "&bucket_width=1h", "bucket_width"), HasSubstr("by the day"));
  const json missing = json::parse(answers_->completions("limit=1").body)["error"];
  EXPECT_EQ(missing["param"], "start_time");
}

}  // namespace
}  // namespace spillway::admin
