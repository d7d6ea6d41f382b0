// The state directory and its databases: what was committed is there again, what was not is not.
#include "gateway/store/database.h"
#include "gateway/store/directory.h"
#include "gateway/store/postgres.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sys/stat.h>

namespace spillway::store {
namespace {

namespace fs = std::filesystem;

class Store : public ::testing::Test {
 protected:
  Directory scratch_ = *Directory::open("");
  const std::vector<std::string> versions_ = {"CREATE TABLE words(n INTEGER PRIMARY KEY, word)"};

  Result<Database> words() { return Database::open(scratch_.file("words.sqlite"), versions_); }
};

std::optional<std::string> word(Database& database, std::int64_t n) {
  Statement found = *database.prepare("SELECT word FROM words WHERE n = ?");
  found.bind(0, n);
  if (!*found.step()) return std::nullopt;
  return std::string(found.text(0));
}

void add(Database& database, std::int64_t n, std::string_view text) {
  Statement added = *database.prepare("INSERT INTO words VALUES(?, ?)");
  ASSERT_TRUE(added.bind(0, n).bind(1, text).run().has_value());
}

TEST_F(Store, KeepsWhatWasCommitted) {
  {
    Database database = *words();
    add(database, 1, std::string_view("a\0b", 3));
    Transaction transaction = *Transaction::begin(database);
    add(database, 2, "not committed");
  }
  Database again = *words();
  EXPECT_EQ(word(again, 1), std::string("a\0b", 3));
  EXPECT_EQ(word(again, 2), std::nullopt);
}

TEST_F(Store, CommitsATransaction) {
  Database database = *words();
  Transaction transaction = *Transaction::begin(database);
  add(database, 1, "one");
  ASSERT_TRUE(transaction.commit().has_value());
  EXPECT_EQ(word(database, 1), "one");
}

TEST_F(Store, RunsEachVersionOnce) {
  {
    Database first = *words();
    add(first, 1, "one");
  }
  const std::vector<std::string> later = {versions_[0], "UPDATE words SET word = word || '!'"};
  for (int start = 0; start < 2; ++start) {
    Database database = *Database::open(scratch_.file("words.sqlite"), later);
    EXPECT_EQ(word(database, 1), "one!");
  }
  const auto old = words();
  ASSERT_FALSE(old.has_value());
  EXPECT_NE(old.error().message.find("later version"), std::string::npos);
}

TEST_F(Store, SaysWhatIsWrong) {
  std::ofstream(scratch_.file("words.sqlite")) << std::string(4096, 'x');
  const auto opened = words();
  ASSERT_FALSE(opened.has_value());
  EXPECT_NE(opened.error().message.find("words.sqlite"), std::string::npos);
  EXPECT_NE(opened.error().message.find("not a database"), std::string::npos);
  EXPECT_EQ(opened.error().code, Errc::internal);
}

TEST_F(Store, DirectoryIsOfOneGateway) {
  const std::string path = scratch_.file("state");
  {
    const auto first = Directory::open(path);
    ASSERT_TRUE(first.has_value());
    const auto second = Directory::open(path);
    ASSERT_FALSE(second.has_value());
    EXPECT_NE(second.error().message.find("another gateway"), std::string::npos);
  }
  EXPECT_TRUE(Directory::open(path).has_value());
  EXPECT_TRUE(fs::exists(path));
  struct stat about{};
  ASSERT_EQ(stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0700U);
}

TEST_F(Store, TemporaryDirectoryGoesWithItsOwner) {
  std::string path;
  {
    const Directory temporary = *Directory::open("");
    path = temporary.path();
    std::ofstream(temporary.file("x")) << "x";
    EXPECT_TRUE(fs::exists(path));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(Store, WhatAKilledOwnerLeftGoesWhenTheNextOneComes) {
  const std::string base = scratch_.file("tmp");
  const auto make = [&](const char* name, const char* mark, bool old) {
    const fs::path folder = fs::path(base) / name;
    fs::create_directories(folder);
    std::ofstream(folder / "ledger.sqlite") << "x";
    std::ofstream(folder / mark) << "";
    const auto age = std::chrono::seconds(old ? 61 : 0);
    fs::last_write_time(folder / mark, fs::file_time_type::clock::now() - age);
    return folder;
  };
  const fs::path left = make("spillway-aaaaaa", "temporary", true);
  const fs::path young = make("spillway-bbbbbb", "temporary", false);
  const fs::path state = make("spillway-cccccc", "lock", true);
  const fs::path other = make("elsewhere", "temporary", true);
  ASSERT_EQ(setenv("TMPDIR", base.c_str(), 1), 0);
  const auto alive = Directory::open("");
  ASSERT_TRUE(alive.has_value());
  fs::last_write_time(alive->file("temporary"),
                      fs::file_time_type::clock::now() - std::chrono::seconds(61));
  const auto next = Directory::open("");
  unsetenv("TMPDIR");
  EXPECT_TRUE(next.has_value());
  EXPECT_FALSE(fs::exists(left));
  for (const fs::path& kept : {young, state, other, fs::path(alive->path())})
    EXPECT_TRUE(fs::exists(kept)) << kept;
}

TEST_F(Store, RefusesAFile) {
  std::ofstream(scratch_.file("state")) << "x";
  EXPECT_FALSE(Directory::open(scratch_.file("state")).has_value());
}

template <class... Values>
std::string array_of(Values... values) {
  PostgresArray array;
  (array.add(values), ...);
  return array.text();
}

TEST(PostgresArray, SaysWhatPostgresReads) {
  EXPECT_EQ(array_of(), "{}");
  EXPECT_EQ(array_of(std::int64_t{1}, std::int64_t{-20}), "{1,-20}");
  EXPECT_EQ(array_of("", "a b", "NULL"), R"({"","a b","NULL"})");
  EXPECT_EQ(array_of(R"(say "no"\,{})"), R"({"say \"no\"\\,{}"})");
  EXPECT_EQ(array_of("grün 漢 🙂"), "{\"grün 漢 🙂\"}");
}

// A name cut off in the middle of a character must not keep its group out of the book for ever.
TEST(PostgresArray, ReplacesWhatPostgresCannotKeep) {
  EXPECT_EQ(array_of(std::string_view("a\0b", 3)), "{\"a?b\"}");
  EXPECT_EQ(array_of("gr\xC3"), "{\"gr?\"}");
  EXPECT_EQ(array_of("\xE6\xBC"), "{\"??\"}");
  EXPECT_EQ(array_of("\xC0\x80|\xED\xA0\x80|\xF4\x90\x80\x80|\xFF"), "{\"??|???|????|?\"}");
  EXPECT_EQ(array_of("\xC3\"x"), "{\"?\\\"x\"}");
}

}  // namespace
}  // namespace spillway::store
