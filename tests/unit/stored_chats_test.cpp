// Stored completions: how many of a tenant's there are room for.
#include "gateway/store/directory.h"
#include "gateway/stored/chat_store.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway::stored {
namespace {

class StoredChats : public ::testing::Test {
 protected:
  void put(const std::string& id, std::size_t bytes, const std::string& tenant = "acme") {
    const wire::KeptChat chat{id, tenant, "m", 1'000, "{}", "[]", std::string(bytes - 2, 'x')};
    ASSERT_TRUE(store_->put(chat, 1'000).has_value());
  }

  std::string ids(const std::string& tenant = "acme") {
    std::string all;
    const ChatPage page = *store_->list(tenant, {.limit = 100}, 1'000);
    for (const wire::KeptChat& chat : page.chats) all += chat.id;
    return all;
  }

  store::Directory directory_ = *store::Directory::open("");
  std::unique_ptr<ChatStore> store_ = *ChatStore::open(directory_.file("chats.db"), 1'000);
};

TEST_F(StoredChats, TheOldestMakeRoom) {
  for (const char* id : {"a", "b", "c"}) put(id, 300);
  put("other's", 900, "rival");
  EXPECT_EQ(ids(), "abc");
  put("d", 100);
  EXPECT_EQ(ids(), "abcd");
  put("e", 400);
  EXPECT_EQ(ids(), "cde");
  EXPECT_EQ(store_->list("acme", {.after = "b", .limit = 1}, 1'000)->chats.front().id, "c")
      << "paging";
  EXPECT_EQ(ids("rival"), "other's");
  put("f", 1'001);
  EXPECT_EQ(ids(), "");
}

TEST_F(StoredChats, WhatIsGoneMakesRoom) {
  for (const char* id : {"a", "b", "c"}) put(id, 300);
  ASSERT_TRUE(store_->remove("acme", "c").has_value());
  put("d", 400);
  EXPECT_EQ(ids(), "abd");
  store_.reset();
  store_ = *ChatStore::open(directory_.file("chats.db"), 1'000);
  put("e", 2);
  EXPECT_EQ(ids(), "bde");
}

TEST_F(StoredChats, APageOfLargeOnesEndsEarly) {
  store_ = *ChatStore::open(directory_.file("large.db"));
  for (const char* id : {"a", "b", "c", "d"}) put(id, 12 << 20);
  const auto page = store_->list("acme", {.limit = 100}, 1'000);
  EXPECT_EQ(page->chats.size(), 3u);
  EXPECT_TRUE(page->has_more);
  EXPECT_EQ(
      store_->list("acme", {.after = page->chats.back().id, .limit = 100}, 1'000)->chats.size(),
      1u);
}

}  // namespace
}  // namespace spillway::stored
