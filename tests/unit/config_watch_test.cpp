// The watcher sees every way in which a file gets other bytes, on a real folder.
#include "config/digest.h"
#include "config/watch.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>

namespace spillway::config {
namespace {

using std::chrono::milliseconds;
namespace fs = std::filesystem;

class Calls {
 public:
  void add() {
    const std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }

  bool reach(int count, milliseconds limit = milliseconds(10'000)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return count_ >= count; });
  }

  int count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

class ConfigWatch : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / ("spillway_watch_" + std::string(test->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Without the slow look, so that only events can tell.
  std::unique_ptr<FileWatcher> watch(const fs::path& path, const std::string& in_force) {
    const WatchOptions options{.quiet = milliseconds(20), .look = milliseconds(3'600'000)};
    return std::make_unique<FileWatcher>(only(path, in_force), [this] { calls_.add(); }, options);
  }

  static std::function<FilesRead()> only(const fs::path& path, const std::string& in_force) {
    return [files = FilesRead{{path.string(), sha256_hex(in_force)}}] { return files; };
  }

  fs::path folder_;
  Calls calls_;
};

TEST_F(ConfigWatch, SeesAWriteInPlaceAgainAndAgain) {
  const fs::path file = folder_ / "a.yaml";
  write(file, "one");
  const auto watcher = watch(file, "one");
  write(file, "two");
  ASSERT_TRUE(calls_.reach(1));
  write(file, "six");
  ASSERT_TRUE(calls_.reach(2));
}

TEST_F(ConfigWatch, SeesAnAtomicRename) {
  const fs::path file = folder_ / "a.yaml";
  write(file, "one");
  const auto watcher = watch(file, "one");
  for (int round = 1; round <= 3; ++round) {
    write(folder_ / "new", "round " + std::to_string(round));
    fs::rename(folder_ / "new", file);
    ASSERT_TRUE(calls_.reach(round));
  }
}

// As Kubernetes mounts a ConfigMap: a.yaml → ..data/a.yaml, ..data → a dated folder, swapped by
// rename.
TEST_F(ConfigWatch, SeesASwapOfTheFolderBehindALink) {
  for (const char* version : {"v1", "v2", "v3"}) {
    fs::create_directory(folder_ / version);
    write(folder_ / version / "a.yaml", version);
  }
  fs::create_directory_symlink("v1", folder_ / "..data");
  fs::create_symlink("..data/a.yaml", folder_ / "a.yaml");
  const auto watcher = watch(folder_ / "a.yaml", "v1");
  int swaps = 0;
  for (const char* version : {"v2", "v3"}) {
    fs::create_directory_symlink(version, folder_ / "..new");
    fs::rename(folder_ / "..new", folder_ / "..data");
    ASSERT_TRUE(calls_.reach(++swaps)) << version;
  }
}

TEST_F(ConfigWatch, FollowsALinkIntoAnotherFolder) {
  fs::create_directory(folder_ / "far");
  write(folder_ / "far" / "real.yaml", "one");
  fs::create_symlink(folder_ / "far" / "real.yaml", folder_ / "a.yaml");
  const auto watcher = watch(folder_ / "a.yaml", "one");
  write(folder_ / "far" / "real.yaml", "two");
  ASSERT_TRUE(calls_.reach(1));

  // The link turns to a second folder, which must be watched from then on.
  fs::create_directory(folder_ / "further");
  write(folder_ / "further" / "real.yaml", "three");
  fs::create_symlink(folder_ / "further" / "real.yaml", folder_ / "new");
  fs::rename(folder_ / "new", folder_ / "a.yaml");
  ASSERT_TRUE(calls_.reach(2));
  write(folder_ / "further" / "real.yaml", "four");
  ASSERT_TRUE(calls_.reach(3));
}

TEST_F(ConfigWatch, SeesAFileThatWentAndCameBack) {
  const fs::path file = folder_ / "a.yaml";
  write(file, "one");
  const auto watcher = watch(file, "one");
  fs::remove(file);
  write(file, "two");
  ASSERT_TRUE(calls_.reach(1));
}

TEST_F(ConfigWatch, TellsNothingOfTheSameBytesOrOfOtherFiles) {
  const fs::path file = folder_ / "a.yaml";
  write(file, "one");
  const auto watcher = watch(file, "one");
  write(folder_ / "b.yaml", "two");
  write(folder_ / "new", "one");
  fs::rename(folder_ / "new", file);
  EXPECT_FALSE(calls_.reach(1, milliseconds(150)));
  write(file, "two");
  ASSERT_TRUE(calls_.reach(1));
}

TEST_F(ConfigWatch, SeesWhatChangedBeforeItWasBorn) {
  const fs::path file = folder_ / "a.yaml";
  write(file, "two");
  const auto watcher = watch(file, "one");
  ASSERT_TRUE(calls_.reach(1));
}

TEST_F(ConfigWatch, WatchesThoseThatWereReadLast) {
  const fs::path first = folder_ / "one.yaml", second = folder_ / "other" / "two.yaml";
  fs::create_directories(second.parent_path());
  write(first, "one");
  write(second, "two");
  std::mutex mutex;
  FilesRead files{{first.string(), sha256_hex("one")}};
  const WatchOptions options{.quiet = milliseconds(20), .look = milliseconds(3'600'000)};
  const auto read = [&] {
    const std::lock_guard lock(mutex);
    return files;
  };
  const auto changed = [&] {
    {
      const std::lock_guard lock(mutex);
      files[second.string()] = sha256_hex("two");
    }
    calls_.add();
  };
  const FileWatcher watcher(read, changed, options);
  write(first, "one names two");
  ASSERT_TRUE(calls_.reach(1));
  write(second, "another two");
  EXPECT_TRUE(calls_.reach(2));
}

TEST_F(ConfigWatch, ABurstOfWritesIsOneCall) {
  const fs::path file = folder_ / "a.yaml";
  write(file, "one");
  const WatchOptions options{.quiet = milliseconds(300), .look = milliseconds(3'600'000)};
  const FileWatcher watcher(only(file, "one"), [this] { calls_.add(); }, options);
  for (int i = 0; i < 50; ++i) write(file, "version " + std::to_string(i));
  ASSERT_TRUE(calls_.reach(1));
  EXPECT_EQ(calls_.count(), 1);
}

TEST_F(ConfigWatch, LooksByItselfWhereEventsDoNotCome) {
  // The folder does not exist yet, so that nothing can be watched.
  const fs::path file = folder_ / "later" / "a.yaml";
  const WatchOptions options{.quiet = milliseconds(20), .look = milliseconds(50)};
  const FileWatcher watcher(only(file, "one"), [this] { calls_.add(); }, options);
  fs::create_directory(folder_ / "later");
  write(file, "two");
  ASSERT_TRUE(calls_.reach(1));
}

TEST_F(ConfigWatch, NoCallAfterItIsGone) {
  const fs::path file = folder_ / "a.yaml";
  write(file, "one");
  watch(file, "one").reset();
  write(file, "two");
  EXPECT_EQ(calls_.count(), 0);
}

}  // namespace
}  // namespace spillway::config
