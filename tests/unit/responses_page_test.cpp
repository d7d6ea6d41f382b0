// Pages of the items that led to a response: from both ends, over turns and a conversation.
#include "gateway/responses/past_page.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace spillway::responses {
namespace {

constexpr std::int64_t kNow = 1'000'000;

std::string item(const std::string& id) { return R"({"type":"message","id":")" + id + R"("})"; }

TEST(ItemPage, ListsAreCutIntoTheirItems) {
  using Views = std::vector<std::string_view>;
  EXPECT_EQ(elements_of("[]"), Views{});
  EXPECT_EQ(elements_of(R"([{"a":[1,{"b":"]},\"\\"}]},2,"\\\"",[]])"),
            (Views{R"({"a":[1,{"b":"]},\"\\"}]})", "2", R"("\\\"")", "[]"}));
}

TEST(ItemPage, ADamagedListIsNotTakenForAShortOne) {
  for (const auto* list : {"", "nonsense", R"([{"a":1})", R"([{"a":"1}])"}) {
    EXPECT_THROW(elements_of(list), std::runtime_error) << list;
  }
}

TEST(ItemPage, TellsItsFirstAndItsLast) {
  EXPECT_EQ(items_page("[]", 1),
            R"({"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false})");
  EXPECT_EQ(items_page(R"([{"id":"a"},{"id":"b"},{"id":"c"}])", 2),
            R"({"object":"list","data":[{"id":"a"},{"id":"b"}],)"
            R"("first_id":"a","last_id":"b","has_more":true})");
}

class PastPageTest : public testing::Test {
 protected:
  PastPageTest() {
    const std::vector<ConversationItem> items = {
        {"c1", item("c1")}, {"c2", item("c2")}, {"c3", item("c3")}};
    EXPECT_TRUE(conversations_->create({"conv", "t", kNow, "{}"}, items, kNow));
    put("resp_1", "", "conv", "c2");
    put("resp_2", "resp_1");
    put("resp_3", "resp_2");
  }

  // Its input is i and its number, its output o and its number.
  void put(const std::string& id, const std::string& previous, const std::string& conversation = "",
           const std::string& told = "") {
    Kept turn{id, "t", kNow, previous};
    turn.input = "[" + item("i" + id.substr(5)) + "]";
    turn.body = R"({"output":[)" + item("o" + id.substr(5)) + "]}";
    turn.conversation = conversation;
    turn.told = told;
    EXPECT_TRUE(shelf_.put(turn, kNow));
  }

  Result<std::string> page(const ItemPage& asked, const std::string& id = "resp_3") {
    PastPage past(shelf_, *conversations_, "t", id, asked);
    Result<bool> whole = false;
    for (steps_ = 0; whole && !*whole; ++steps_) {
      const auto read = past.read(kNow);
      whole = read ? past.take_in() : Result<bool>(read.error());
    }
    if (!whole) return whole.error();
    std::string ids;
    for (const std::string_view each : elements_of(past.list()))
      ids += std::string(ids.empty() ? "" : " ") + std::string(each.substr(each.size() - 4, 2));
    return ids;
  }

  Shelf shelf_ = *Shelf::open(":memory:", {}, kNow);
  std::unique_ptr<Conversations> conversations_ = *Conversations::open(":memory:", {}, kNow);
  int steps_ = 0;
};

TEST_F(PastPageTest, BeginsAtEitherEnd) {
  EXPECT_EQ(*page({20, true, ""}), "i3 o2 i2 o1 i1 c2 c1");
  EXPECT_EQ(*page({20, false, ""}), "c1 c2 i1 o1 i2 o2 i3");
  EXPECT_EQ(*page({2, true, ""}), "i3 o2 i2") << "one more where more follow";
  EXPECT_EQ(*page({2, false, ""}), "c1 c2 i1");
  EXPECT_EQ(*page({20, true, ""}, "resp_1"), "i1 c2 c1");
}

TEST_F(PastPageTest, GoesOnBehindAnItem) {
  EXPECT_EQ(*page({2, true, "o2"}), "i2 o1 i1");
  EXPECT_EQ(*page({2, true, "i1"}), "c2 c1");
  EXPECT_EQ(*page({2, true, "c2"}), "c1");
  EXPECT_EQ(*page({2, false, "c1"}), "c2 i1 o1");
  EXPECT_EQ(*page({2, false, "o1"}), "i2 o2 i3");
  EXPECT_EQ(*page({2, false, "i3"}), "");
  for (const bool newest_first : {true, false}) {
    const auto unknown = page({2, newest_first, "x9"});
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().param, "after");
  }
}

TEST_F(PastPageTest, ReadsNoFurtherThanItNeeds) {
  ASSERT_TRUE(page({1, true, ""}));
  EXPECT_EQ(steps_, 2);
}

TEST_F(PastPageTest, WhatIsGoneEndsIt) {
  ASSERT_TRUE(shelf_.remove("t", "resp_1"));
  EXPECT_EQ(*page({20, true, ""}), "i3 o2 i2");
  EXPECT_EQ(*page({20, false, ""}), "i2 o2 i3");
  EXPECT_EQ(page({20, true, ""}, "resp_1").error().code, Errc::not_found);
}

}  // namespace
}  // namespace spillway::responses
