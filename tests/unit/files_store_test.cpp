// Files and uploads on disk: whose they are, how much room there is, what expires, what a kill
// leaves behind.
#include "gateway/files/file_json.h"
#include "gateway/files/file_store.h"
#include "gateway/files/upload_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace spillway::files {
namespace {

constexpr Seconds kNow = 1'000'000;

class Files : public ::testing::Test {
 protected:
  Files() { reopen(); }

  void reopen() {
    uploads_.reset();
    files_.reset();
    shelf_.reset();
    shelf_ = *Shelf::open(directory_, limits_);
    files_.emplace(*shelf_);
    uploads_.emplace(*shelf_, *files_);
  }

  File add(const std::string& tenant, const std::string& content,
           std::optional<Seconds> expires = {}, const std::string& purpose = "user_data") {
    Draft draft = *files_->begin(tenant);
    EXPECT_TRUE(draft.write(content).has_value());
    return *files_->keep(draft, {"", tenant, "name", purpose, 0, kNow, expires});
  }

  Upload announce(std::uint64_t bytes) {
    return *uploads_->create(
        {.tenant = "acme", .name = "n", .purpose = "user_data", .bytes = bytes, .created = kNow});
  }

  std::string add_part(const Upload& upload, const std::string& content) {
    Draft draft = *uploads_->begin_part("acme", upload.id, kNow);
    EXPECT_TRUE(draft.write(content).has_value());
    return uploads_->keep_part(draft, "acme", upload.id, kNow)->id;
  }

  Result<Upload> complete(const Upload& upload, const std::vector<std::string>& parts,
                          const std::string& md5 = "", Seconds now = kNow) {
    auto assembly = uploads_->assemble("acme", upload.id, parts, md5, now);
    if (!assembly) return assembly.error();
    while (!*assembly->step()) continue;
    return assembly->finish(now);
  }

  std::string content(const File& file) {
    return *store::DiskFile::read(files_->path_of(file))->read_at(0, 1 << 20);
  }

  int on_disk() const {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path() + "/files"))
      count += entry.is_regular_file() ? 1 : 0;
    return count;
  }

  Limits limits_{
      .file_max = 100, .batch_input_max = 50, .part_max = 60, .tenant_max = 250, .weight_min = 1};
  store::Directory directory_ = *store::Directory::open("");
  std::unique_ptr<Shelf> shelf_;
  std::optional<FileStore> files_;
  std::optional<UploadStore> uploads_;
};

TEST_F(Files, AreThereForTheirTenantAlone) {
  const File file = add("acme", "hello");
  reopen();
  const File found = *files_->find("acme", file.id, kNow);
  EXPECT_EQ(found.bytes, 5u);
  EXPECT_EQ(content(found), "hello");
  EXPECT_EQ(shelf_->bytes(), 5u);
  EXPECT_EQ(files_->find("other", file.id, kNow).error().code, Errc::not_found);
  EXPECT_EQ(files_->remove("other", file.id, kNow).error().code, Errc::not_found);
  EXPECT_TRUE(files_->list("other", {}, kNow)->files.empty());
  ASSERT_TRUE(files_->remove("acme", file.id, kNow).has_value());
  EXPECT_EQ(files_->find("acme", file.id, kNow).error().code, Errc::not_found);
  EXPECT_EQ(on_disk(), 0);
  EXPECT_EQ(shelf_->bytes(), 0u);
}

TEST_F(Files, AreListedInPages) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(add("acme", "x", {}, i == 2 ? "batch" : "evals").id);
  FilePage page = *files_->list("acme", {.limit = 2}, kNow);
  ASSERT_EQ(page.files.size(), 2u);
  EXPECT_TRUE(page.has_more);
  EXPECT_EQ(page.files[0].id, ids[4]);
  page = *files_->list("acme", {.limit = 3, .after = ids[3]}, kNow);
  ASSERT_EQ(page.files.size(), 3u);
  EXPECT_FALSE(page.has_more);
  EXPECT_EQ(page.files[2].id, ids[0]);
  page = *files_->list("acme", {.after = ids[3], .newest_first = false}, kNow);
  ASSERT_EQ(page.files.size(), 1u);
  EXPECT_EQ(page.files[0].id, ids[4]);
  EXPECT_EQ(files_->list("acme", {.purpose = "batch"}, kNow)->files.at(0).id, ids[2]);
  EXPECT_EQ(files_->list("other", {.after = ids[0]}, kNow).error().param, "after");
}

TEST_F(Files, HaveLimits) {
  {
    Draft draft = *files_->begin("acme");
    EXPECT_TRUE(draft.write(std::string(100, 'x')).has_value());
    EXPECT_EQ(draft.write("x").error().code, Errc::payload_too_large);
    EXPECT_EQ(files_->keep(draft, {"", "acme", "n", "batch", 0, kNow, {}}).error().code,
              Errc::payload_too_large);
  }
  add("acme", std::string(50, 'x'), {}, "batch");
  add("acme", std::string(100, 'x'));
  add("acme", std::string(90, 'x'));
  Draft last = *files_->begin("acme");
  EXPECT_TRUE(last.write(std::string(10, 'x')).has_value());
  EXPECT_NE(last.write("x").error().message.find("delete some"), std::string::npos);
  EXPECT_TRUE(files_->begin("other")->write(std::string(100, 'x')).has_value());
}

TEST_F(Files, WhatArrivesTakesRoom) {
  std::vector<Draft> drafts;
  for (int i = 0; i < 3; ++i) drafts.push_back(*files_->begin("acme"));
  EXPECT_TRUE(drafts[0].write(std::string(100, 'x')).has_value());
  EXPECT_TRUE(drafts[1].write(std::string(100, 'x')).has_value());
  EXPECT_NE(drafts[2].write(std::string(51, 'x')).error().message.find("room for 50 more"),
            std::string::npos);
  EXPECT_TRUE(files_->begin("other")->write(std::string(100, 'x')).has_value());
  ASSERT_TRUE(files_->keep(drafts[0], {"", "acme", "n", "user_data", 0, kNow, {}}).has_value());
  EXPECT_FALSE(drafts[2].write(std::string(51, 'x')).has_value()) << "it is counted once still";
  drafts.erase(drafts.begin() + 1);
  EXPECT_TRUE(drafts[1].write(std::string(100, 'x')).has_value());
  const Upload upload = announce(60);
  EXPECT_FALSE(uploads_->begin_part("acme", upload.id, kNow)->write(std::string(51, 'x')));
  EXPECT_TRUE(uploads_->begin_part("acme", upload.id, kNow)->write(std::string(50, 'x')));
}

TEST_F(Files, WhatIsKeptIsCountedAcrossAStart) {
  const File file = add("acme", std::string(100, 'x'));
  add_part(announce(60), std::string(60, 'x'));
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(files_->begin("acme")->write(std::string(91, 'x')));
    EXPECT_TRUE(files_->begin("acme")->write(std::string(90, 'x')));
    EXPECT_EQ(shelf_->bytes(), 160u);
    reopen();
  }
  ASSERT_TRUE(files_->remove("acme", file.id, kNow).has_value());
  ASSERT_TRUE(uploads_->expire(kNow + kUploadLifetime).has_value());
  EXPECT_TRUE(files_->begin("acme")->write(std::string(100, 'x')));
  EXPECT_EQ(shelf_->bytes(), 0u);
}

TEST_F(Files, OneThatIsEmptyTakesRoomToo) {
  limits_.weight_min = 100;
  reopen();
  add("acme", "");
  add_part(announce(1), "");
  Draft third = *files_->begin("acme");
  EXPECT_EQ(files_->keep(third, {"", "acme", "n", "user_data", 0, kNow, {}}).error().code,
            Errc::payload_too_large);
}

TEST_F(Files, ATenantHasSoMany) {
  limits_.tenant_files_max = 2;
  limits_.tenant_parts_max = 1;
  reopen();
  Draft begun = *files_->begin("acme");
  add("acme", "a");
  const File second = add("acme", "b");
  EXPECT_EQ(files_->begin("acme").error().code, Errc::payload_too_large);
  EXPECT_FALSE(files_->keep(begun, {"", "acme", "n", "user_data", 0, kNow, {}}).has_value());
  EXPECT_TRUE(files_->begin("other").has_value());
  ASSERT_TRUE(files_->remove("acme", second.id, kNow).has_value());
  EXPECT_TRUE(files_->begin("acme").has_value());
  const Upload upload = announce(1);
  add_part(upload, "a");
  EXPECT_NE(uploads_->begin_part("acme", upload.id, kNow).error().message.find("cancel some"),
            std::string::npos);
  ASSERT_TRUE(uploads_->cancel("acme", upload.id, kNow).has_value());
  EXPECT_TRUE(uploads_->begin_part("acme", announce(1).id, kNow).has_value());
}

TEST_F(Files, NoPartIsUsedTwice) {
  const Upload upload = announce(10);
  const std::string part = add_part(upload, "hello");
  const auto twice = complete(upload, {part, part});
  ASSERT_FALSE(twice.has_value());
  EXPECT_NE(twice.error().message.find("twice"), std::string::npos);
}

TEST_F(Files, WhatIsBeingCompletedIsLeftAlone) {
  const Upload upload = announce(5);
  const std::string part = add_part(upload, "hello");
  {
    Draft late = *uploads_->begin_part("acme", upload.id, kNow);
    auto assembly = *uploads_->assemble("acme", upload.id, {part}, std::string(32, '0'), kNow);
    EXPECT_EQ(complete(upload, {part}).error().code, Errc::conflict);
    EXPECT_EQ(uploads_->cancel("acme", upload.id, kNow).error().code, Errc::conflict);
    EXPECT_EQ(uploads_->begin_part("acme", upload.id, kNow).error().code, Errc::conflict);
    EXPECT_EQ(uploads_->keep_part(late, "acme", upload.id, kNow).error().code, Errc::conflict);
    ASSERT_TRUE(uploads_->expire(kNow + kUploadLifetime).has_value());
    while (!*assembly.step()) continue;
    EXPECT_EQ(assembly.finish(kNow).error().param, "md5");
  }
  EXPECT_TRUE(complete(upload, {part}).has_value());
}

TEST_F(Files, ATenantHasSoManyUploadsUnderWay) {
  for (int i = 0; i < 1'000; ++i) announce(1);
  const Upload more{.tenant = "acme", .purpose = "evals", .bytes = 1, .created = kNow};
  EXPECT_EQ(uploads_->create(more).error().code, Errc::rate_limited);
  const Upload others{.tenant = "other", .purpose = "evals", .bytes = 1, .created = kNow};
  EXPECT_TRUE(uploads_->create(others).has_value());
  ASSERT_TRUE(uploads_->expire(kNow + kUploadLifetime).has_value());
  EXPECT_TRUE(uploads_->create(more).has_value());
}

TEST_F(Files, Expire) {
  const File file = add("acme", "hello", kNow + 10);
  EXPECT_TRUE(files_->find("acme", file.id, kNow + 9).has_value());
  EXPECT_FALSE(files_->find("acme", file.id, kNow + 10).has_value());
  ASSERT_TRUE(files_->expire(kNow + 9).has_value());
  EXPECT_EQ(on_disk(), 1);
  ASSERT_TRUE(files_->expire(kNow + 10).has_value());
  EXPECT_EQ(on_disk(), 0);
  EXPECT_EQ(shelf_->bytes(), 0u);
}

TEST_F(Files, WhatAKillLeavesIsSwept) {
  const File file = add("acme", "hello");
  std::ofstream(directory_.path() + "/files/abandoned.draft") << "x";
  {
    Draft dropped = *files_->begin("acme");
  }
  EXPECT_EQ(on_disk(), 2);
  reopen();
  EXPECT_EQ(on_disk(), 1);
  EXPECT_EQ(content(file), "hello");
}

TEST_F(Files, WhatTheDatabaseDoesNotTakeIsGone) {
  const Upload upload = announce(5);
  for (const char* table : {"files", "parts"}) {
    const std::string refusal = " BEGIN SELECT RAISE(ABORT, 'no'); END";
    ASSERT_TRUE(shelf_->database().run(std::string("CREATE TRIGGER no_") + table +
                                       " BEFORE INSERT ON " + table + refusal));
  }
  Draft draft = *files_->begin("acme"), part = *uploads_->begin_part("acme", upload.id, kNow);
  for (Draft* one : {&draft, &part}) ASSERT_TRUE(one->write("hello").has_value());
  EXPECT_FALSE(files_->keep(draft, {"", "acme", "n", "user_data", 0, kNow, {}}).has_value());
  EXPECT_FALSE(uploads_->keep_part(part, "acme", upload.id, kNow).has_value());
  EXPECT_EQ(on_disk(), 0) << "nobody counts it";
}

TEST_F(Files, AnUploadWhoseEndIsNotWrittenMakesNone) {
  const Upload upload = announce(5);
  const std::string part = add_part(upload, "hello");
  ASSERT_TRUE(shelf_->database().run(
      "CREATE TRIGGER no BEFORE UPDATE ON uploads BEGIN SELECT RAISE(ABORT, 'no'); END"));
  const auto bytes = shelf_->bytes();
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(complete(upload, {part}));
  EXPECT_EQ(files_->list("acme", {}, kNow)->files.size(), 0u);
  EXPECT_EQ(on_disk(), 1);
  EXPECT_EQ(shelf_->bytes(), bytes);
  ASSERT_TRUE(shelf_->database().run("DROP TRIGGER no"));
  const auto done = complete(upload, {part});
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(content(*done->file), "hello");
  EXPECT_EQ(on_disk(), 1);
}

TEST_F(Files, AreAdoptedOnce) {
  const std::string path = directory_.file("results");
  const File file{"file-made", "acme", "n", "batch_output", 7, kNow, {}};
  // Killed before the content was moved: nothing of it may be swept.
  ASSERT_TRUE(files_->adopt(file, path).has_value());
  EXPECT_TRUE(files_->find("acme", file.id, kNow).has_value());
  std::ofstream(path) << "results";
  for (int i = 0; i < 2; ++i) {
    reopen();
    ASSERT_TRUE(files_->adopt(file, path).has_value());
  }
  EXPECT_EQ(files_->list("acme", {}, kNow)->files.size(), 1u);
  EXPECT_EQ(content(file), "results");
}

TEST_F(Files, AreMadeOfParts) {
  const Upload upload = announce(11);
  const std::string world = add_part(upload, "world"), hello = add_part(upload, "hello ");
  const Upload made = *complete(upload, {hello, world}, "5EB63BBBE01EEED093CB22BB8F5ACDC3");
  ASSERT_TRUE(made.file);
  EXPECT_EQ(content(*made.file), "hello world");
  EXPECT_EQ(on_disk(), 1);
  EXPECT_EQ(shelf_->bytes(), 11u);
  EXPECT_EQ(complete(upload, {hello, world}).error().message,
            "the upload is completed: begin another");
  EXPECT_FALSE(uploads_->cancel("acme", upload.id, kNow).has_value());
}

TEST_F(Files, UploadsAreCheckedBeforeTheyBecomeFiles) {
  const Upload upload = announce(5);
  const std::string part = add_part(upload, "hello");
  EXPECT_EQ(complete(upload, {}).error().param, "part_ids");
  EXPECT_EQ(complete(upload, {part, part}).error().param, "part_ids");
  EXPECT_EQ(complete(upload, {"part_none"}).error().param, "part_ids");
  EXPECT_EQ(complete(upload, {part}, std::string(32, '0')).error().param, "md5");
  EXPECT_EQ(uploads_->begin_part("other", upload.id, kNow).error().code, Errc::not_found);
  EXPECT_EQ(uploads_->begin_part("acme", upload.id, kNow)->write(std::string(61, 'x')).error().code,
            Errc::payload_too_large);
  EXPECT_EQ(uploads_->create({.tenant = "acme", .purpose = "evals", .bytes = 101}).error().param,
            "bytes");
  EXPECT_EQ(uploads_->create({.tenant = "acme", .purpose = "batch", .bytes = 51}).error().param,
            "bytes");
  EXPECT_TRUE(complete(upload, {part}).has_value());
}

TEST_F(Files, UploadsEndCancelledOrExpired) {
  const Upload cancelled = announce(5), late = announce(5);
  add_part(cancelled, "hello");
  const std::string part = add_part(late, "hello");
  EXPECT_EQ(uploads_->cancel("acme", cancelled.id, kNow)->state, UploadState::cancelled);
  EXPECT_EQ(on_disk(), 1);
  EXPECT_TRUE(uploads_->begin_part("acme", late.id, kNow + kUploadLifetime - 1).has_value());
  EXPECT_EQ(complete(late, {part}, "", kNow + kUploadLifetime).error().message,
            "the upload is expired: begin another");
  ASSERT_TRUE(uploads_->expire(kNow + kUploadLifetime).has_value());
  EXPECT_EQ(on_disk(), 0);
}

TEST(FileJson, ReadsWhatClientsSend) {
  EXPECT_EQ(**read_expiry("created_at", "3600"), 3'600);
  EXPECT_EQ(**read_expiry("created_at", "2592000"), 2'592'000);
  EXPECT_FALSE(*read_expiry("", ""));
  for (const char* bad : {"3599", "2592001", "", "1e4", "3600s"})
    EXPECT_EQ(read_expiry("created_at", bad).error().param, "expires_after[seconds]");
  EXPECT_EQ(read_expiry("now", "3600").error().param, "expires_after[anchor]");
  EXPECT_TRUE(check_purpose("batch").has_value());
  EXPECT_EQ(check_purpose("batch_output").error().param, "purpose");
  const auto upload = read_upload(
      R"({"filename":"a","purpose":"batch","bytes":7,"mime_type":"text/jsonl","expires_after":{"anchor":"created_at","seconds":3600}})");
  EXPECT_EQ(upload->bytes, 7u);
  EXPECT_EQ(upload->file_expires_after, 3'600);
  EXPECT_EQ(read_upload(R"({"filename":"a","purpose":"x","bytes":7,"mime_type":""})").error().param,
            "purpose");
  EXPECT_EQ(read_completion(R"({"part_ids":["a","b"],"md5":"x"})")->part_ids.size(), 2u);
  EXPECT_EQ(read_completion(R"({"part_ids":[1]})").error().param, "part_ids");
}

}  // namespace
}  // namespace spillway::files
