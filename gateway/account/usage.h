// What was used and what it cost, summed as somebody asks: read from the book's hours.
//
// For a thread that may wait for the disk. Times are hours since 1970.
#pragma once

#include "backends/contract/error.h"
#include "gateway/account/book_reader.h"
#include "gateway/account/slot.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::account {

enum class Dimension {
  hour,
  day,
  tenant,
  key,
  project,
  request_class,
  endpoint,
  model,
  target,
  served,
  where,
};

// For people and their tools; nothing is reckoned with it.
inline double in_usd(NanoUsd amount) { return static_cast<double>(amount) / 1e9; }

// "day", "class", "where" (local or cloud)…
std::string_view name_of(Dimension dimension);
std::optional<Dimension> dimension_of(std::string_view name);

// Of which endpoints. Answers are what models write: neither vectors, verdicts nor rankings.
enum class Asked { all, answers, embeddings, moderations };

// Only what has one of these names.
struct UsageFilter {
  Dimension dimension = Dimension::tenant;
  std::set<std::string> names;
};

struct UsageQuestion {
  std::int64_t from = 0;
  std::int64_t until = 0;  // Not included.
  std::vector<Dimension> by;
  Asked of = Asked::all;
  std::vector<UsageFilter> only = {};  // All of them hold.
};

struct UsageRow {
  std::vector<std::string> names;  // In the order of `by`; hours and days as numbers since 1970.
  std::int64_t requests = 0;
  std::int64_t estimated = 0;  // Of these, whose target did not tell its usage.
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t reasoning_tokens = 0;
  NanoUsd cost = 0;
  NanoUsd local_cost = 0;  // Of that, the local engine's.
  NanoUsd avoided = 0;     // What the cheapest provider would have asked for what was served here.
};

Result<std::vector<UsageRow>> usage(BookReader& book, const UsageQuestion& question);

}  // namespace spillway::account
