// Conversations on their shelf: within time, bytes and number, each tenant's apart.
#include "gateway/responses/conversations.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace spillway::responses {
namespace {

constexpr std::int64_t kNow = 1'700'000'000;

class ConversationShelf : public ::testing::Test {
 protected:
  void open(ConversationLimits limits) {
    auto opened = Conversations::open(":memory:", limits, kNow);
    ASSERT_TRUE(opened);
    all_ = std::move(*opened);
  }

  Result<void> create(const std::string& id, const std::string& text = "{}",
                      std::int64_t now = kNow, const std::string& tenant = "t") {
    return all_->create({id, tenant, now, "{}"}, {{"item_" + id, text}}, now);
  }

  bool has(const std::string& id, std::int64_t now = kNow, const std::string& tenant = "t") {
    return all_->find(tenant, id, now).has_value();
  }

  std::unique_ptr<Conversations> all_;
};

TEST_F(ConversationShelf, WhatNobodyUsesIsGone) {
  open({.ttl_seconds = 100});
  ASSERT_TRUE(create("a"));
  ASSERT_TRUE(create("b"));
  ASSERT_TRUE(all_->add("t", "b", {{"more", "{}"}}, kNow + 60));
  EXPECT_TRUE(has("a", kNow + 99));
  EXPECT_FALSE(has("a", kNow + 100));
  EXPECT_TRUE(has("b", kNow + 159)) << "used since";
  EXPECT_EQ(all_->add("t", "a", {{"more", "{}"}}, kNow + 100).error().code, Errc::not_found);
}

TEST_F(ConversationShelf, WhoFillsItMakesRoom) {
  const std::string large(10'000, 'x');
  open({.bytes_max = 45'000});
  ASSERT_TRUE(create("small", "{}", kNow, "other"));
  for (const char* id : {"a", "b", "c", "d"}) ASSERT_TRUE(create(id, large));
  EXPECT_TRUE(has("a"));
  ASSERT_TRUE(all_->add("t", "a", {{"more", large}}, kNow + 1));
  EXPECT_FALSE(has("b")) << "used longest ago";
  EXPECT_TRUE(has("a"));
  EXPECT_TRUE(has("small", kNow, "other"));
  ASSERT_TRUE(create("e", large));
  EXPECT_FALSE(has("c")) << "for a new one, too";
  const std::string metadata = "{\"a\":\"" + large + "\"}";
  ASSERT_TRUE(all_->set_metadata("t", "a", metadata, kNow + 2));
  EXPECT_FALSE(has("d")) << "and for what one is called";
  ASSERT_TRUE(all_->expire(kNow + (std::int64_t{1} << 40)));
  EXPECT_FALSE(has("a", 0));
}

TEST_F(ConversationShelf, ATenantHasSoMany) {
  open({.tenant_max = 3});
  ASSERT_TRUE(create("other", "{}", kNow, "other"));
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(create(id));
  EXPECT_TRUE(has("a"));
  ASSERT_TRUE(create("d"));
  EXPECT_FALSE(has("a"));
  EXPECT_TRUE(has("b"));
  EXPECT_TRUE(has("other", kNow, "other"));
}

TEST_F(ConversationShelf, OneHasSoManyItems) {
  open({.items_max = 3});
  ASSERT_TRUE(create("a"));
  ASSERT_TRUE(all_->add("t", "a", {{"1", "{}"}, {"2", "{}"}}, kNow));
  EXPECT_EQ(all_->add("t", "a", {{"3", "{}"}}, kNow).error().code, Errc::context_too_long);
  ASSERT_TRUE(all_->remove_item("t", "a", "1", kNow));
  EXPECT_EQ(all_->add("t", "a", {{"3", "{}"}}, kNow).error().code, Errc::context_too_long)
      << "a deleted one keeps its place";
}

TEST_F(ConversationShelf, DeletedItemsGiveTheirBytesBack) {
  const std::string large(10'000, 'x');
  open({.items_bytes_max = 15'000});
  ASSERT_TRUE(create("a", large));
  for (int i = 0; i < 20; ++i) {
    const std::string id = std::to_string(i);
    ASSERT_TRUE(all_->add("t", "a", {{id, large}}, kNow)) << i;
    EXPECT_EQ(all_->add("t", "a", {{"over", "{}"}}, kNow).error().code, Errc::context_too_long);
    ASSERT_TRUE(all_->remove_item("t", "a", id, kNow));
  }
}

TEST_F(ConversationShelf, AnItemThatIsThereTwiceAddsNone) {
  open({});
  ASSERT_TRUE(create("a"));
  EXPECT_FALSE(all_->add("t", "a", {{"1", "{}"}, {"item_a", "{}"}}, kNow));
  EXPECT_EQ(all_->items("t", "a", kNow)->items, "[{}]");
}

TEST_F(ConversationShelf, ItsItemsUpToOneAreThoseOfThen) {
  open({});
  ASSERT_TRUE(create("a", "0"));
  ASSERT_TRUE(all_->add("t", "a", {{"1", "1"}, {"2", "2"}}, kNow));
  const auto then = all_->items("t", "a", kNow);
  EXPECT_EQ(then->items, "[0,1,2]");
  EXPECT_EQ(then->last, "2");
  ASSERT_TRUE(all_->add("t", "a", {{"3", "3"}}, kNow));
  EXPECT_EQ(all_->items_up_to("t", "a", then->last, kNow).value(), "[0,1,2]");
  for (const char* id : {"1", "2"}) ASSERT_TRUE(all_->remove_item("t", "a", id, kNow));
  EXPECT_EQ(all_->items_up_to("t", "a", then->last, kNow).value(), "[0]");
  EXPECT_EQ(all_->items_up_to("t", "a", "", kNow).value(), "[]");
  EXPECT_EQ(all_->items_up_to("other", "a", then->last, kNow).error().code, Errc::not_found);
}

}  // namespace
}  // namespace spillway::responses
