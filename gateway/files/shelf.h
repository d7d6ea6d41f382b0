// Where files, and the parts of uploads, lie: contents in a folder, what is known of them in a
// database, and how much room a tenant has.
//
// On the disk's thread, but for `bytes`. Contents that no row of the database knows of were left by
// a process that was killed; they are deleted when the shelf is opened.
#pragma once

#include "gateway/files/draft.h"
#include "gateway/files/file.h"
#include "gateway/store/database.h"
#include "gateway/store/directory.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace spillway::files {

class Shelf {
 public:
  static Result<std::unique_ptr<Shelf>> open(const store::Directory& directory, Limits limits);

  store::Database& database() { return database_; }
  const Limits& limits() const { return limits_; }
  std::string path_of(std::string_view id) const { return folder_ + "/" + std::string(id); }

  // A draft of at most so many bytes, and no more than the tenant has room for.
  Result<Draft> draft(std::string_view tenant, std::uint64_t bytes_max);

  // Whether the tenant has room for that much more now: others may have been kept since the draft
  // was begun.
  Result<void> check_room(std::string_view tenant, std::uint64_t bytes);

  // Deletes the content; its row is gone already.
  void drop(std::string_view id) const;

  // Of all files and parts; any thread.
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  Result<void> count();  // After every change.

 private:
  Shelf(store::Database database, std::string folder, Limits limits)
      : database_(std::move(database)), folder_(std::move(folder)), limits_(limits) {}

  Result<void> sweep();
  Result<bool> knows(std::string_view id);
  Result<std::uint64_t> room_for(std::string_view tenant);

  store::Database database_;
  const std::string folder_;
  const Limits limits_;
  std::atomic<std::uint64_t> bytes_ = 0;
};

}  // namespace spillway::files
