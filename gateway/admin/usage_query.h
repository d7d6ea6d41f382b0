// What the address of a usage or cost page asks, in OpenAI's parameters. Pure.
#pragma once

#include "backends/contract/error.h"
#include "gateway/account/usage.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace spillway::admin {

enum class UsagePage { usage, costs };

struct UsageQuery {
  std::int64_t from = 0;                 // Hours since 1970: the first bucket's.
  std::int64_t until = 0;                // Not included.
  std::int64_t width = 0;                // Of a bucket: an hour or a day.
  std::int64_t limit = 0;                // Buckets at most.
  std::vector<std::string_view> groups;  // OpenAI's names; what each is here stands in `by`.
  std::vector<account::Dimension> by;
  std::vector<account::UsageFilter> only;
};

// `query` is what came after '?'. invalid_request: a parameter that `page` does not have, or what
// the book does not keep; `param` names it.
Result<UsageQuery> read_usage_query(std::string_view query, UsagePage page);

}  // namespace spillway::admin
