// Which of a target's servers have been sent which beginnings of prompts of late: a table of fixed
// size, whose oldest entries make room for new ones. Pure state: time is passed in. Not
// thread-safe.
#pragma once

#include "backends/contract/deadline.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace spillway::policy {

// A set of servers: bit i is the i-th. A target has 64 at most.
using ServerSet = std::uint64_t;
inline constexpr ServerSet kAllServers = ~ServerSet{0};
constexpr ServerSet only(std::size_t server) { return ServerSet{1} << server; }
constexpr ServerSet first(std::size_t count) { return count < 64 ? only(count) - 1 : kAllServers; }

class PrefixTable {
 public:
  // `marks` is how many it can tell apart, rounded up to whole buckets; 24 bytes each.
  explicit PrefixTable(std::size_t marks);

  // Who has been sent the beginning `mark`, and not forgotten it.
  ServerSet servers(std::uint64_t mark, TimePoint now) const;

  void note(std::uint64_t mark, std::size_t server, TimePoint now);

 private:
  struct Entry {
    std::uint64_t mark = 0;
    ServerSet servers = 0;  // 0: free.
    TimePoint used{};
  };
  using Bucket = std::array<Entry, 4>;

  const Bucket& bucket_of(std::uint64_t mark) const { return buckets_[mark % buckets_.size()]; }

  std::vector<Bucket> buckets_;
};

}  // namespace spillway::policy
