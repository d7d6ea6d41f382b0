// The thread that waits for the disk, and files on it.
#include "gateway/store/database.h"
#include "gateway/store/directory.h"
#include "gateway/store/disk_file.h"
#include "gateway/store/disk_thread.h"
#include "gateway/store/fresh_id.h"
#include "gateway/store/reserve.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <future>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

namespace spillway::store {
namespace {

namespace net = boost::asio;

struct Told {
  std::thread::id asker, doer, after;
  int answer = 0;
};

net::awaitable<void> ask(DiskThread& disk, Told& told) {
  told.asker = std::this_thread::get_id();
  const std::function<Result<int>()> work = [&told]() -> Result<int> {
    told.doer = std::this_thread::get_id();
    return 42;
  };
  const auto answer = co_await disk.run(work);
  told.after = std::this_thread::get_id();
  told.answer = answer ? *answer : -1;
}

TEST(DiskThread, DoesTheWorkElsewhereAndComesBack) {
  net::io_context io(1);
  DiskThread disk("disk");  // Ends first: it posts to `io`.
  Told told;
  net::co_spawn(io, ask(disk, told), net::detached);
  const auto work = net::make_work_guard(io);
  while (told.answer == 0) io.run_one();
  EXPECT_EQ(told.answer, 42);
  EXPECT_NE(told.doer, told.asker);
  EXPECT_EQ(told.after, told.asker);
}

net::awaitable<void> ask_what_throws(DiskThread& disk, std::optional<Errc>& told) {
  const std::function<Result<int>()> work = []() -> Result<int> {
    throw std::runtime_error("no JSON");
  };
  const auto answer = co_await disk.run(work);
  told = answer.error().code;
}

TEST(DiskThread, WhatThrowsFailsAndIsSurvived) {
  net::io_context io(1);
  DiskThread disk("disk");
  std::optional<Errc> told;
  net::co_spawn(io, ask_what_throws(disk, told), net::detached);
  const auto work = net::make_work_guard(io);
  while (!told) io.run_one();
  EXPECT_EQ(told, Errc::internal);
}

net::awaitable<void> free_what_there_is(DiskThread& disk, int& tried, Result<void>& told) {
  const std::function<Result<void>()> work = [&tried]() -> Result<void> {
    if (++tried == 1) return disk_is_full();
    return {};
  };
  told = co_await disk.run_to_free(work, "tenant");
}

TEST(DiskThread, WhoFreesHasWhatIsKeptAside) {
  for (const bool is_kept : {true, false}) {
    net::io_context io(1);
    DiskThread disk("disk");
    disk.keep_aside([is_kept] { return is_kept; });
    int tried = 0;
    Result<void> told = Error{Errc::internal, "", "", std::nullopt};
    net::co_spawn(io, free_what_there_is(disk, tried, told), net::detached);
    const auto work = net::make_work_guard(io);
    while (!told && told.error().code == Errc::internal) io.run_one();
    EXPECT_EQ(told.has_value(), is_kept);
    EXPECT_EQ(tried, is_kept ? 2 : 1);
  }
}

TEST(DiskThread, DoesAllThatWasAskedInOrderBeforeItEnds) {
  std::string done;
  DiskThread disk("disk");
  for (char letter = 'a'; letter <= 'z'; ++letter) disk.post([&done, letter] { done += letter; });
  disk.stop();
  EXPECT_EQ(done, "abcdefghijklmnopqrstuvwxyz");
  disk.post([&done] { done += "!"; });
  EXPECT_EQ(done.back(), '!');
}

TEST(DiskThread, TenantsTakeTurns) {
  std::string done;
  std::promise<void> asked;
  DiskThread disk("disk");
  disk.post([&asked] { asked.get_future().wait(); });
  for (int i = 0; i < 3; ++i) disk.post([&done] { done += 'a'; }, "many");
  for (const char letter : {'b', 'c'}) disk.post([&done, letter] { done += letter; }, "few");
  disk.post([&done] { done += '-'; });
  asked.set_value();
  disk.stop();
  EXPECT_EQ(done, "ab-aca");
}

TEST(DiskThread, RepeatsInBetween) {
  std::promise<void> thrice;
  int times = 0;
  DiskThread disk("disk");
  disk.repeat(std::chrono::milliseconds(1), [&] {
    if (++times == 3) thrice.set_value();
  });
  EXPECT_EQ(thrice.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

TEST(DiskThread, RepeatsThoughSomebodyAlwaysAsks) {
  std::promise<void> twice;
  std::atomic<bool> enough = false;
  int times = 0;
  DiskThread disk("disk");
  std::function<void()> again = [&] {
    if (!enough) disk.post(again);
  };
  disk.repeat(std::chrono::milliseconds(1), [&] {
    if (++times == 2) twice.set_value();
  });
  disk.post(again);
  EXPECT_EQ(twice.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  enough = true;
  disk.stop();
}

class Disk : public ::testing::Test {
 protected:
  Directory scratch_ = *Directory::open("");
};

TEST_F(Disk, KeepsWhatWasWritten) {
  const std::string path = scratch_.file("a");
  {
    DiskFile file = *DiskFile::create(path);
    ASSERT_TRUE(file.write("hello ").has_value());
    ASSERT_TRUE(file.write(std::string_view("w\0rld", 5)).has_value());
    ASSERT_TRUE(file.sync().has_value());
  }
  DiskFile again = *DiskFile::append(path);
  EXPECT_EQ(*again.read_at(6, 100), std::string("w\0rld", 5));
  ASSERT_TRUE(again.cut(5).has_value());
  ASSERT_TRUE(again.write("!").has_value());
  EXPECT_EQ(*again.size(), 6u);
  ASSERT_TRUE(rename_durably(path, scratch_.file("b")).has_value());
  EXPECT_EQ(*DiskFile::read(scratch_.file("b"))->read_at(0, 10), "hello!");
  EXPECT_FALSE(DiskFile::read(path).has_value());
}

TEST_F(Disk, ADatabaseOnAFullDiskSaysSo) {
  Database database = *Database::open(scratch_.file("a.sqlite"), {"CREATE TABLE t(x)"});
  ASSERT_TRUE(database.run("PRAGMA max_page_count=2").has_value());  // It fails in the same place.
  const auto full = database.run("INSERT INTO t VALUES(zeroblob(100000))");
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code, Errc::overloaded);
  EXPECT_TRUE(full.error().retry_after);
  ASSERT_TRUE(database.run("PRAGMA max_page_count=1000").has_value());
  EXPECT_TRUE(database.run("INSERT INTO t VALUES(zeroblob(100000))").has_value());
}

TEST_F(Disk, ADatabaseThatAQuotaStopsSaysSo) {
  std::signal(SIGXFSZ, SIG_IGN);
  Database database = *Database::open(scratch_.file("a.sqlite"), {"CREATE TABLE t(x)"});
  auto row = *database.prepare("INSERT INTO t VALUES(zeroblob(100000))");
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{50'000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto full = row.run();
  setrlimit(RLIMIT_FSIZE, &before);
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code, Errc::overloaded);
  EXPECT_EQ(full.error().message, "the gateway's disk is full or fails");
  EXPECT_TRUE(row.run().has_value());
}

// Its log is closed behind its back, which no write survives.
TEST_F(Disk, ADatabaseOnADiskThatFailsSaysSo) {
  const std::string log = scratch_.file("a.sqlite-wal");
  Database database = *Database::open(scratch_.file("a.sqlite"), {"CREATE TABLE t(x)"});
  const int nothing = ::open("/dev/null", O_RDONLY);
  int replaced = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) != log) continue;
    ::dup2(nothing, std::stoi(entry.path().filename()));
    ++replaced;
  }
  ::close(nothing);
  ASSERT_EQ(replaced, 1);
  const auto failed = database.run("INSERT INTO t VALUES(1)");
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, Errc::overloaded);
  EXPECT_EQ(failed.error().message, "the gateway's disk is full or fails");
  EXPECT_TRUE(failed.error().retry_after);
}

TEST_F(Disk, AReserveIsKeptUntilItIsGivenUp) {
  const Reserve reserve(scratch_.file("reserve"));
  EXPECT_FALSE(reserve.give_up());
  for (int i = 0; i < 2; ++i) reserve.keep();
  EXPECT_EQ(std::filesystem::file_size(scratch_.file("reserve")), 1u << 20);
  EXPECT_TRUE(reserve.give_up());
  EXPECT_FALSE(reserve.give_up());
}

// Whoever began to keep it may have been killed.
TEST_F(Disk, AReserveThatIsShortIsFilledUp) {
  const Reserve reserve(scratch_.file("reserve"));
  ASSERT_TRUE(DiskFile::create(scratch_.file("reserve"))->write("short").has_value());
  reserve.keep();
  EXPECT_EQ(std::filesystem::file_size(scratch_.file("reserve")), 1u << 20);
}

TEST_F(Disk, AFullDiskIsAnErrorThatMayPass) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{8, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  DiskFile file = *DiskFile::create(scratch_.file("a"));
  EXPECT_TRUE(file.write("12345678").has_value());
  const auto full = file.write("9");
  setrlimit(RLIMIT_FSIZE, &before);
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code, Errc::overloaded);
  EXPECT_EQ(full.error().message, "the gateway's disk is full");
}

TEST(FreshId, IsNeverTheSame) {
  std::set<std::string> ids;
  for (int i = 0; i < 1'000; ++i) ids.insert(fresh_id("file-"));
  EXPECT_EQ(ids.size(), 1'000u);
  EXPECT_EQ(ids.begin()->size(), 29u);
  EXPECT_TRUE(ids.begin()->starts_with("file-"));
}

}  // namespace
}  // namespace spillway::store
