#include "gateway/policy/prefix_table.h"

#include <algorithm>

namespace spillway::policy {
namespace {

// A server under load has thrown out by then what nobody asked for again.
constexpr std::chrono::minutes kKept{10};

}  // namespace

PrefixTable::PrefixTable(std::size_t marks)
    : buckets_(std::max<std::size_t>(1, (marks + Bucket().size() - 1) / Bucket().size())) {}

ServerSet PrefixTable::servers(std::uint64_t mark, TimePoint now) const {
  for (const Entry& entry : bucket_of(mark)) {
    if (entry.servers != 0 && entry.mark == mark)
      return now - entry.used <= kKept ? entry.servers : 0;
  }
  return 0;
}

void PrefixTable::note(std::uint64_t mark, std::size_t server, TimePoint now) {
  Bucket& bucket = buckets_[mark % buckets_.size()];
  Entry* place = &bucket.front();
  for (Entry& entry : bucket) {
    if (entry.servers != 0 && entry.mark == mark) {
      place = &entry;
      break;
    }
    if (entry.used < place->used) place = &entry;
  }
  const bool is_known = place->servers != 0 && place->mark == mark && now - place->used <= kKept;
  *place = {mark, (is_known ? place->servers : 0) | only(server), now};
}

}  // namespace spillway::policy
