// A provider's own account of what was used, as its CSV export tells it. Pure.
#pragma once

#include "backends/contract/error.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace spillway::verbs {

struct ExportedSum {
  std::int64_t input = 0;
  std::int64_t output = 0;
  double usd = 0.0;
  // How far `usd` may be from the exact amount: half a unit of the last decimal of each amount that
  // was added ("0.0099" has 0.00005 of it, "12.34" 0.005); what has no decimals is exact.
  double rounding = 0.0;
};

struct ProviderExport {
  std::map<std::pair<std::string, std::string>, ExportedSum> sums;  // By "2026-11-26" and model.
  bool has_costs = false;
  bool has_tokens = true;  // An invoice has amounts alone,
  bool has_models = true;  // …and those of whole days: then the model is "".
};

// `csv` has a header: a day (date, day, start_time), model, input and output tokens, and a cost in
// USD where it has one, by the names that providers give them; where it has a cost, the others may
// be lacking. A day is 2026-11-26, with or without a time behind it, 20261126, 11/26/2026 (the
// month first), or seconds or milliseconds since 1970. invalid_request: what it lacks, or the line
// with what is no day or no number.
Result<ProviderExport> read_provider_export(const std::string& csv);

}  // namespace spillway::verbs
