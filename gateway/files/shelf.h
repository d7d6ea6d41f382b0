// Where files, and the parts of uploads, lie: contents in a folder, what is known of them in a
// database, and how much room a tenant has.
//
// On the disk's thread, but for `bytes`. Contents that no row of the database knows of were left by
// a process that was killed; they are deleted when the shelf is opened.
#pragma once

#include "gateway/files/draft.h"
#include "gateway/files/file.h"
#include "gateway/files/room.h"
#include "gateway/store/database.h"
#include "gateway/store/directory.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace spillway::files {

class Shelf {
 public:
  enum class Kind { file, part };

  static Result<std::unique_ptr<Shelf>> open(const store::Directory& directory, Limits limits);

  store::Database& database() { return database_; }
  const Limits& limits() const { return limits_; }
  std::string path_of(std::string_view id) const { return folder_ + "/" + std::string(id); }

  // For a file or a part of at most so many bytes. payload_too_large: the tenant has as many.
  Result<Draft> draft(std::string_view tenant, Kind kind, std::uint64_t bytes_max);

  // Whether the tenant may keep it: others may have been kept since it was begun.
  Result<void> check_room(std::string_view tenant, Kind kind, const Draft& draft);

  // What came, and what went.
  void add(std::string_view tenant, Kind kind, std::uint64_t bytes);
  void take_away(std::string_view tenant, Kind kind, std::uint64_t bytes);

  // Deletes the content; its row is gone already.
  void drop(std::string_view id) const;

  // Of all files and parts; any thread.
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  Shelf(store::Database database, std::string folder, Limits limits)
      : database_(std::move(database)), folder_(std::move(folder)), limits_(limits) {}

  Result<void> sweep();
  Result<bool> knows(std::string_view id);
  Result<void> count(Kind kind, std::string_view rows);
  std::shared_ptr<Room> room_of(std::string_view tenant);
  Result<void> check_number(const Room& room, Kind kind) const;
  std::uint64_t weight(std::uint64_t bytes) const { return std::max(bytes, limits_.weight_min); }

  store::Database database_;
  const std::string folder_;
  const Limits limits_;
  std::atomic<std::uint64_t> bytes_ = 0;
  std::map<std::string, std::shared_ptr<Room>, std::less<>> rooms_;  // By tenant.
};

}  // namespace spillway::files
