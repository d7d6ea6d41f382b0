// Who keeps an engine's process alive, with shells in the engine's place that do what none should.
#include "backends/isolated/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

namespace spillway::isolated {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using What = Notice::What;

class Shell : public testing::Test {
 protected:
  void start(const std::string& script, const std::string& shell = "/bin/sh") {
    config::Isolated pace{milliseconds(10), milliseconds(30), milliseconds(10'000)};
    supervisor_.emplace(process::Program{shell, {"-c", script}}, pace, "settings", board_,
                        [this](const Notice& notice) {
                          std::lock_guard lock(mutex_);
                          notices_.push_back(notice);
                          changed_.notify_all();
                        });
  }

  // So many notices of this kind.
  std::vector<Notice> await(What what, std::size_t count) {
    std::vector<Notice> found;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10), [&] {
      found.clear();
      for (const Notice& notice : notices_)
        if (notice.what == what) found.push_back(notice);
      return found.size() >= count;
    });
    EXPECT_GE(found.size(), count);
    return found;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Notice> notices_;
  std::shared_ptr<Switchboard> board_ = std::make_shared<Switchboard>(1'024);
  std::optional<Supervisor> supervisor_;
};

TEST_F(Shell, IsStartedAgainAfterLongerAndLongerPauses) {
  start("exit 3");
  const auto ends = await(What::ended, 4);
  std::vector<milliseconds> pauses;
  for (const Notice& end : ends) pauses.push_back(end.time);
  pauses.resize(4);
  EXPECT_THAT(pauses,
              ElementsAre(milliseconds(10), milliseconds(20), milliseconds(30), milliseconds(30)));
  EXPECT_EQ(ends[0].text, "ended with status 3: the model could not be loaded");
  EXPECT_GE(supervisor_->restarts(), 3U);
  EXPECT_THAT(supervisor_->obstacle(), HasSubstr("ended with status 3"));
}

TEST_F(Shell, ItsSignalAndItsLinesAreTold) {
  start("echo one; printf two >&2; kill -SEGV $$");
  EXPECT_EQ(await(What::ended, 1)[0].text, "was killed by signal 11 (SIGSEGV)");
  const auto lines = await(What::prints, 2);
  EXPECT_EQ(lines[0].text, "one");
  EXPECT_EQ(lines[1].text, "two");
  EXPECT_GT(lines[0].pid, 0);
}

TEST_F(Shell, ALineWithoutAnEndIsCut) {
  start("head -c 100000 /dev/zero | tr '\\0' x; echo; echo short; exec sleep 100");
  const auto lines = await(What::prints, 2);
  EXPECT_EQ(lines[0].text.size(), 2'000U);
  EXPECT_EQ(lines[1].text, "short");
}

TEST_F(Shell, InheritsItsEndsOfTheLineAndNothingElse) {
  start(
      "for n in 3 4 5 6 7 8 9 10 16 17 18 19 20 21 22 23 24; do "
      "[ -e /proc/$$/fd/$n ] && printf '%s ' $n; done; echo; exec sleep 100");
  EXPECT_EQ(await(What::prints, 1)[0].text, "3 4 5 6 ");
}

TEST_F(Shell, WhoWritesNonsenseIntoTheMemoryIsKilled) {
  start(
      "head -c 8500000 /dev/zero | tr '\\0' '\\377' >&3; printf '\\1\\0\\0\\0\\0\\0\\0\\0' >&5;"
      "exec sleep 100");
  EXPECT_EQ(await(What::ended, 1)[0].text,
            "was killed by signal 9 (SIGKILL), as the other process writes what cannot be read");
}

TEST_F(Shell, TheMemoryCannotBeMadeSmaller) {
  start("truncate -s 0 /proc/$$/fd/3 || echo refused; exec sleep 100");
  const auto lines = await(What::prints, 2);
  EXPECT_EQ(lines.back().text, "refused");
}

TEST_F(Shell, KeysAreNotHandedOn) {
  setenv("PROVIDER_KEY", "sk-secret", 1);
  setenv("OMP_NUM_THREADS", "2", 1);
  start("env; exit 3");
  std::string printed;
  await(What::ended, 1);
  for (const Notice& line : await(What::prints, 1)) printed += line.text + "\n";
  unsetenv("PROVIDER_KEY");
  unsetenv("OMP_NUM_THREADS");
  EXPECT_THAT(printed, HasSubstr("OMP_NUM_THREADS=2\n"));
  EXPECT_THAT(printed, Not(HasSubstr("sk-secret")));
}

TEST_F(Shell, AProgramThatIsNotThereIsSaid) {
  start("", "/nowhere/spillway");
  EXPECT_THAT(await(What::ended, 2)[1].text, HasSubstr("No such file"));
}

TEST_F(Shell, AStopDoesNotWaitForOneThatLoads) {
  start("exec sleep 100");
  await(What::starts, 1);
  const TimePoint before = SteadyClock::now();
  supervisor_->stop(before + std::chrono::seconds(60));
  EXPECT_LT(SteadyClock::now() - before, std::chrono::seconds(5));
  EXPECT_TRUE(await(What::ended, 0).empty());
}

TEST_F(Shell, AStopDoesNotWaitForAPause) {
  config::Isolated pace{milliseconds(60'000), milliseconds(60'000), milliseconds(10'000)};
  supervisor_.emplace(process::Program{"/bin/false", {}}, pace, "", board_,
                      [this](const Notice& notice) {
                        std::lock_guard lock(mutex_);
                        notices_.push_back(notice);
                        changed_.notify_all();
                      });
  await(What::ended, 1);
  const TimePoint before = SteadyClock::now();
  supervisor_.reset();
  EXPECT_LT(SteadyClock::now() - before, std::chrono::seconds(5));
}

}  // namespace
}  // namespace spillway::isolated
