// What the ledger takes: holds and posts a second by several threads until all are on the disk, and
// what one costs its caller. Prints a line; fails under the number given as first argument. A
// second one is the connection string of a PostgreSQL database that keeps the book instead of
// SQLite.
#include "gateway/account/ledger.h"
#include "gateway/account/stores.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace spillway::account {
namespace {

constexpr int kThreads = 2;
constexpr int kPosts = 200'000;  // Of each.

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

// Seconds in calls of the ledger, waits for a free place left out.
double post_all(Ledger& ledger, int thread) {
  double inside = 0.0;
  for (int i = 0; i < kPosts; ++i) {
    const std::string id = "req_" + std::to_string(thread) + "_" + std::to_string(i);
    const Clock::time_point began = Clock::now();
    auto hold = ledger.hold({id, "acme", "demo", "search", 1'000});
    while (!hold) {
      std::this_thread::yield();
      hold = ledger.hold({id, "acme", "demo", "search", 1'000});
    }
    Posting posting{"interactive", "/v1/chat/completions", "auto", 0, {}};
    posting.legs.push_back({"ai-hub", "model", false, false, {512, 128, 0, 0}, 700});
    ledger.settle(*hold, posting);
    inside += seconds_since(began);
  }
  return inside;
}

int run(double at_least, const char* postgres) {
  const auto directory = *store::Directory::open("");
  config::Ledger settings;
  settings.postgres = postgres;
  auto journal = open_journal(settings, directory.path());
  if (!journal) return std::fprintf(stderr, "%s\n", journal.error().message.c_str()), 1;
  auto ledger = std::move(*Ledger::open(directory, std::move(*journal), 16'384));
  const Clock::time_point began = Clock::now();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) threads.emplace_back([&ledger, t] { post_all(*ledger, t); });
  for (std::thread& thread : threads) thread.join();
  if (!ledger->flush(std::chrono::minutes(1))) return 1;
  const double rate = kThreads * kPosts / seconds_since(began);
  const auto counters = ledger->counters();

  // Alone and unhurried: what a request pays for it.
  constexpr int kFew = 2'000;
  double inside = 0.0;
  for (int i = 0; i < kFew; ++i) {
    const std::string id = "one_" + std::to_string(i);
    const Clock::time_point start = Clock::now();
    const auto hold = ledger->hold({id, "acme", "demo", "", 1'000});
    if (hold) {
      Posting posting{"interactive", "/v1/chat/completions", "auto", 0, {}};
      posting.legs.push_back({"ai-hub", "model", false, false, {512, 128, 0, 0}, 700});
      ledger->settle(*hold, posting);
    }
    inside += seconds_since(start);
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  std::printf(
      "%.0f posts/s in group commit (%llu entries in %llu commits), %.2f us for hold and "
      "post in the caller\n",
      rate, static_cast<unsigned long long>(counters.entries),
      static_cast<unsigned long long>(counters.commits), inside / kFew * 1e6);
  return rate >= at_least ? 0 : 1;
}

}  // namespace
}  // namespace spillway::account

int main(int argc, char** argv) {
  return spillway::account::run(argc > 1 ? std::atof(argv[1]) : 0.0, argc > 2 ? argv[2] : "");
}
