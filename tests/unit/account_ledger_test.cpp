// The ledger: what was acknowledged is in the book once, whatever happened to the process.
#include "gateway/account/calendar.h"
#include "gateway/account/ledger.h"
#include "tests/unit/account_book.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace spillway::account {
namespace {

using namespace std::chrono_literals;

class LedgerTest : public ::testing::Test {
 protected:
  std::unique_ptr<Ledger> open(std::size_t slots = 64) {
    auto ledger = open_ledger(directory_, slots);
    EXPECT_TRUE(ledger.has_value()) << (ledger ? "" : ledger.error().message);
    return std::move(*ledger);
  }

  store::Directory directory_ = *store::Directory::open("");
};

HoldTerms terms(std::string_view id, NanoUsd amount = 1'000) {
  return {id, "acme", "demo", "search", amount};
}

void post(Ledger& ledger, const std::string& id, NanoUsd amount) {
  const auto hold = ledger.hold(terms(id, amount));
  ASSERT_TRUE(hold.has_value());
  ledger.settle(*hold, cloud_posting(amount));
}

TEST_F(LedgerTest, APostDebitsTheTenantAndCreditsTheTarget) {
  auto ledger = open();
  post(*ledger, "req_1", 700);
  ASSERT_TRUE(ledger->flush(5s));
  Book book(directory_);
  EXPECT_EQ(book.number("SELECT debits FROM balances WHERE account = 'tenant:acme'"), 700);
  EXPECT_EQ(book.number("SELECT credits FROM balances WHERE account = 'target:ai-hub'"), 700);
  EXPECT_EQ(book.number("SELECT prompt FROM entries"), 100);
  EXPECT_EQ(book.number("SELECT amount FROM usage WHERE project = 'search'"), 700);
  book.expect_sound();
}

TEST_F(LedgerTest, WhatCostNothingLeavesNothing) {
  auto ledger = open(1);
  for (int i = 0; i < 3; ++i) {  // Its place is free again each time.
    const auto hold = ledger->hold(terms("req_" + std::to_string(i)));
    ASSERT_TRUE(hold.has_value());
    ledger->settle(*hold, Posting{});
    ASSERT_TRUE(ledger->flush(5s));
  }
  EXPECT_EQ(Book(directory_).number("SELECT count(*) FROM entries"), 0);
}

TEST_F(LedgerTest, AnIdIsBookedOnce) {
  std::vector<std::string> repeated;
  LedgerEars ears;
  ears.repeated = [&repeated](const Slot& slot) { repeated.emplace_back(slot.id.view()); };
  auto ledger = std::move(*open_ledger(directory_, 64, std::move(ears)));
  post(*ledger, "batch_1:7", 700);
  ASSERT_TRUE(ledger->flush(5s));
  post(*ledger, "batch_1:7", 900);
  ASSERT_TRUE(ledger->flush(5s));
  EXPECT_EQ(ledger->counters().repeated, 1U);
  ledger.reset();
  EXPECT_EQ(repeated, std::vector<std::string>{"batch_1:7"});
  Book book(directory_);
  EXPECT_EQ(book.number("SELECT sum(amount) FROM entries"), 700);
  book.expect_sound();
}

TEST_F(LedgerTest, AllTargetsOfARequestAreBooked) {
  auto ledger = open();
  const auto hold = ledger->hold(terms("req_1"));
  Posting posting = cloud_posting(100);
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h"})  // More than are booked apart.
    posting.legs.push_back({name, "m", false, true, {1, 0, 1, 0}, 10});
  ledger->settle(*hold, posting);
  ASSERT_TRUE(ledger->flush(5s));
  Book book(directory_);
  EXPECT_EQ(book.number("SELECT sum(amount) FROM entries"), 180);
  EXPECT_EQ(book.number("SELECT requests FROM usage WHERE target = 'ai-hub'"), 1);
  EXPECT_EQ(book.number("SELECT sum(requests) FROM usage"), 1);
  EXPECT_EQ(book.number("SELECT sum(cached) FROM usage WHERE target != 'ai-hub'"), 8);
  book.expect_sound();
}

TEST_F(LedgerTest, FullIsSaidAndPasses) {
  auto ledger = open(2);
  const auto first = ledger->hold(terms("req_1"));
  const auto second = ledger->hold(terms("req_2"));
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(ledger->hold(terms("req_3")).has_value());
  ledger->settle(*first, cloud_posting(5));
  ASSERT_TRUE(ledger->flush(5s));
  EXPECT_TRUE(ledger->hold(terms("req_3")).has_value());
}

TEST_F(LedgerTest, ManyThreadsPostAllOfTheirs) {
  constexpr int kThreads = 4, kPosts = 2'000;
  auto ledger = open(256);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&ledger, t] {
      for (int i = 0; i < kPosts; ++i) {
        const std::string id = std::to_string(t) + ":" + std::to_string(i);
        auto hold = ledger->hold(terms(id));
        for (; !hold; hold = ledger->hold(terms(id))) std::this_thread::yield();
        ledger->raise(*hold, 2'000);
        ledger->settle(*hold, cloud_posting(3));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(ledger->flush(20s));
  EXPECT_EQ(ledger->counters().entries, std::uint64_t{kThreads * kPosts});
  Book book(directory_);
  EXPECT_EQ(book.number("SELECT sum(amount) FROM entries"), 3 * kThreads * kPosts);
  book.expect_sound();
}

// A process that posts as fast as it can and tells each id once it is acknowledged.
[[noreturn]] void post_until_killed(const store::Directory& directory, int told, int round) {
  auto ledger = std::move(*open_ledger(directory, 64));
  for (int i = 0;; ++i) {
    const std::string id = std::to_string(round) + ":" + std::to_string(i);
    const auto hold = ledger->hold(terms(id));
    if (!hold) continue;
    ledger->settle(*hold, cloud_posting(7));
    const std::string line = id + "\n";
    if (write(told, line.data(), line.size()) < 0) _exit(1);
  }
}

TEST_F(LedgerTest, AKilledProcessLosesNothingAcknowledgedAndDoublesNothing) {
  std::string acknowledged;
  for (int round = 0; round < 5; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) post_until_killed(directory_, ends[1], round);
    close(ends[1]);
    char bytes[4'096];
    const std::size_t enough = acknowledged.size() + 4'000 + 997 * static_cast<std::size_t>(round);
    ssize_t count = 0;
    while (acknowledged.size() < enough && (count = read(ends[0], bytes, sizeof bytes)) > 0)
      acknowledged.append(bytes, static_cast<std::size_t>(count));
    kill(child, SIGKILL);
    while ((count = read(ends[0], bytes, sizeof bytes)) > 0)
      acknowledged.append(bytes, static_cast<std::size_t>(count));
    close(ends[0]);
    waitpid(child, nullptr, 0);
  }
  open();  // Books what the last one left.
  Book book(directory_);
  std::set<std::string> booked;
  for (const BookRow& row : book.reader().ask("SELECT id FROM entries WHERE phase = 1").value())
    booked.insert(row[0]);
  int lost = 0;
  for (std::size_t at = 0; at < acknowledged.size();) {
    const std::size_t end = acknowledged.find('\n', at);
    if (end == std::string::npos) break;
    lost += booked.count(acknowledged.substr(at, end - at)) == 0 ? 1 : 0;
    at = end + 1;
  }
  EXPECT_EQ(lost, 0);
  // One more than was told a round, at most: killed between the post and the pipe.
  const auto told = std::count(acknowledged.begin(), acknowledged.end(), '\n');
  EXPECT_LE(static_cast<std::ptrdiff_t>(booked.size()), told + 5);
  EXPECT_EQ(book.number("SELECT sum(amount) FROM entries"),
            7 * static_cast<std::int64_t>(booked.size()));
  book.expect_sound();
}

TEST_F(LedgerTest, WhatWasRunningWhenTheProcessDiedIsInDoubt) {
  const pid_t child = fork();
  if (child == 0) {
    auto ledger = std::move(*open_ledger(directory_, 64));
    (void)ledger->hold(terms("req_lost", 4'200));
    raise(SIGKILL);
  }
  waitpid(child, nullptr, 0);
  auto ledger = open();
  EXPECT_EQ(ledger->counters().in_doubt, 1U);
  Book book(directory_);
  const Audit found = audit(book.reader()).value();
  EXPECT_EQ(found.in_doubt, 1);
  EXPECT_EQ(found.in_doubt_amount, 4'200);
  EXPECT_EQ(found.amount, 0);
  EXPECT_TRUE(found.broken.empty());
}

TEST_F(LedgerTest, ALongHoldIsWrittenDownAndEndsWithItsPost) {
  auto ledger = open();
  const auto hold = ledger->hold(terms("req_long"));
  Book book(directory_);
  const auto written = [&] { return book.number("SELECT count(*) FROM holds"); };
  for (int i = 0; i < 500 && written() == 0; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(written(), 1);
  ledger->settle(*hold, cloud_posting(9));
  ASSERT_TRUE(ledger->flush(5s));
  EXPECT_EQ(written(), 0);
  book.expect_sound();
}

TEST_F(LedgerTest, ADiskThatIsFullIsTriedAgainUntilItIsNot) {
  std::signal(SIGXFSZ, SIG_IGN);
  auto ledger = open();
  post(*ledger, "req_before", 1);
  ASSERT_TRUE(ledger->flush(5s));
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = 1;  // No file may grow.
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  for (int i = 0; i < 20; ++i) post(*ledger, "req_" + std::to_string(i), 1);
  for (int i = 0; i < 500 && ledger->writable(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_FALSE(ledger->writable());
  EXPECT_GT(ledger->counters().errors, 0U);
  EXPECT_EQ(ledger->counters().lag, 20);
  limit.rlim_cur = before;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  EXPECT_TRUE(ledger->flush(10s));
  EXPECT_TRUE(ledger->writable());
  Book book(directory_);
  EXPECT_EQ(book.number("SELECT count(*) FROM entries"), 21);
  book.expect_sound();
}

TEST_F(LedgerTest, WhatIsDatedLaterIsNotSpentYet) {
  {
    auto ledger = open();
    post(*ledger, "req_1", 700);
    ASSERT_TRUE(ledger->flush(5s));
  }
  const auto journal = *open_journal({}, directory_.path());
  const std::int64_t now = wall_milliseconds(), day = std::chrono::milliseconds(24h).count();
  EXPECT_EQ(journal->spent(now)->at(0).day, 700);
  EXPECT_EQ(journal->spent(now)->at(0).month, 700);
  EXPECT_TRUE(journal->spent(now - 32 * day)->empty());
  for (const Spent& spent : *journal->spent(now - day)) EXPECT_EQ(spent.day, 0);
}

TEST_F(LedgerTest, HalfASlotIsNoEntry) {
  {
    auto outbox = *Outbox::open(directory_.file("ledger.outbox"), 4);
    Slot& slot = outbox->at(*outbox->claim());
    slot.id = "req_torn";
    slot.tenant = "acme";
    slot.legs_used = 1;
    slot.legs[0].amount = 5;
    slot.checksum = checksum_of(slot) + 1;
    slot.state = SlotState::settled;
  }
  open();
  Book book(directory_);
  EXPECT_EQ(book.number("SELECT count(*) FROM entries WHERE phase = 1"), 0);
  EXPECT_EQ(book.number("SELECT count(*) FROM entries WHERE phase = 2"), 1);
}

TEST_F(LedgerTest, AnOutboxOfAnotherVersionIsTakenOverOnceAllOfItIsBooked) {
  const std::string path = directory_.file("ledger.outbox");
  Outbox::Index held = 0;
  {
    auto outbox = *Outbox::open(path, 4);
    held = *outbox->claim();
    outbox->at(held).state = SlotState::held;
  }
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(6).write("00", 2);  // Where the magic says the layout.
  file.close();
  EXPECT_EQ(Outbox::open(path, 4).error().code, Errc::internal);
  const auto slot = static_cast<std::streamoff>(4'096 + held * sizeof(Slot));
  file.open(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(slot).write("\0\0\0\0", 4);
  file.close();
  std::filesystem::copy_file(path, path + ".whole");
  EXPECT_TRUE(Outbox::open(path, 4));
  std::filesystem::rename(path + ".whole", path);
  file.open(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(8).write("\0\0\0\0", 4);  // Slots of no size.
  file.close();
  EXPECT_FALSE(Outbox::open(path, 4));
}

TEST_F(LedgerTest, AnOutboxGrowsWithWhatMayBeUnderWay) {
  open(4).reset();
  auto ledger = open(8);
  for (int i = 0; i < 8; ++i)
    EXPECT_TRUE(ledger->hold(terms("req_" + std::to_string(i))).has_value()) << i;
  EXPECT_FALSE(ledger->hold(terms("req_8")).has_value());
}

// What each invariant is there for.
TEST_F(LedgerTest, TheAuditFindsWhatDoesNotAddUp) {
  auto ledger = open();
  for (int i = 0; i < 3; ++i) post(*ledger, "req_" + std::to_string(i), 100);
  ASSERT_TRUE(ledger->flush(5s));
  ledger.reset();
  const std::pair<const char*, const char*> planted[] = {
      {"UPDATE balances SET credits = credits + 1 WHERE account = 'target:ai-hub'",
       "debits and credits are the same"},
      {"UPDATE balances SET debits = debits + 1, credits = credits + 1",
       "each account's balance is the sum of its entries"},
      {"DELETE FROM entries WHERE id = 'req_1'",
       "each account's balance is the sum of its entries"},
      {"UPDATE usage SET requests = requests + 1", "the hours are the sum of their entries"},
      {"UPDATE usage SET prompt = prompt - 1", "the hours are the sum of their entries"},
      {"UPDATE usage SET avoided = avoided + 1", "the hours are the sum of their entries"},
      {"UPDATE usage SET model = 'another'", "the hours are the sum of their entries"},
      {"UPDATE entries SET phase = 2 WHERE id = 'req_2'", "what is void costs nothing"},
      {"INSERT INTO holds SELECT id, began, tenant, key, project, 5 FROM entries WHERE id = "
       "'req_0'",
       "what is over is held no more"},
      {"UPDATE entries SET leg = 2 WHERE id = 'req_0'", "each leg follows the one before it"},
  };
  for (const auto& [bug, sentence] : planted) {
    Book book(directory_);
    ASSERT_TRUE(book.reader().ask("BEGIN IMMEDIATE"));  // Rolled back when the book is closed.
    ASSERT_TRUE(book.reader().ask(bug)) << bug;
    const Audit found = audit(book.reader()).value();
    EXPECT_NE(std::find(found.broken.begin(), found.broken.end(), sentence), found.broken.end())
        << bug;
  }
  Book(directory_).expect_sound();
}

}  // namespace
}  // namespace spillway::account
