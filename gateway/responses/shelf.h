// Responses that are to be found again: by their id, and as the turns before another one.
//
// Belongs to the disk's thread: a call may wait for the disk. What is older than the time to live
// is gone; the oldest go when all together are larger than allowed.
#pragma once

#include "backends/contract/error.h"
#include "gateway/store/database.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

struct Kept {
  std::string id;
  std::string tenant;
  std::int64_t created = 0;  // Unix seconds.
  std::string previous;      // The response before it, or empty.
  std::string body;          // The response object.
  std::string input;         // Its own items, a list.
  bool ended = true;
  std::string conversation = {};  // That it was made in, or empty,
  std::string told = {};          // …and the last item that it was told of it; empty: none.
  // Of a stream in the background: its events but the last, as a Transcript has them. `find` leaves
  // it out.
  std::string transcript = {};
};

// Of what a next turn may read of it.
std::size_t size_of(const Kept& turn);

// context_too_long: the turns up to that response have more bytes together than that.
Error conversation_too_large(std::string_view id, std::size_t bytes_max);

struct ShelfLimits {
  std::int64_t ttl_seconds = 30LL * 24 * 3600;
  std::int64_t bytes_max = 1LL << 30;
};

class Shelf {
 public:
  // What had not ended when the file was closed has failed.
  static Result<Shelf> open(const std::string& path, ShelfLimits limits, std::int64_t now);

  // Replaces the one of the same id.
  Result<void> put(const Kept& response, std::int64_t now);

  // What is too old goes.
  Result<void> expire(std::int64_t now);

  // not_found if the tenant has none of that id.
  Result<Kept> find(std::string_view tenant, std::string_view id, std::int64_t now);
  Result<std::string> transcript(std::string_view tenant, std::string_view id, std::int64_t now);
  Result<void> remove(std::string_view tenant, std::string_view id);

  // As `find`, without its texts.
  Result<Kept> place_of(std::string_view tenant, std::string_view id, std::int64_t now);

  // All turns up to that response, the oldest first. Fails as `find`, where one of them has not
  // ended, and with context_too_long where they have more bytes together than that.
  Result<std::vector<Kept>> turns(std::string_view tenant, std::string_view id, std::int64_t now,
                                  std::size_t bytes_max);

 private:
  Shelf(store::Database database, ShelfLimits limits)
      : database_(std::move(database)), limits_(limits) {}

  Result<void> fail_unended();
  Result<void> make_room(std::int64_t now);
  Result<void> count();
  Result<int> forget(store::Statement& gone);
  void add(std::string_view tenant, std::int64_t bytes);
  std::string largest_but(const std::set<std::string>& others) const;

  store::Database database_;
  ShelfLimits limits_;
  std::int64_t used_ = 0;                        // Bytes of all,
  std::map<std::string, std::int64_t> used_by_;  // …and by tenant.
};

}  // namespace spillway::responses
