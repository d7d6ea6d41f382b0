// Whether the book adds up: everything that must hold of it whatever happened, looked at row by
// row. Reads only; takes as long as reading the book.
#pragma once

#include "backends/contract/error.h"
#include "gateway/account/book_reader.h"
#include "gateway/account/slot.h"

#include <cstdint>
#include <string>
#include <vector>

namespace spillway::account {

struct Audit {
  std::int64_t entries = 0;
  std::int64_t requests = 0;
  std::int64_t in_doubt = 0;    // Requests whose gateway died under them…
  NanoUsd in_doubt_amount = 0;  // …and what they may have cost at most.
  NanoUsd amount = 0;
  std::vector<std::string> broken;  // What does not hold; empty: all does.
};

Result<Audit> audit(BookReader& book);

}  // namespace spillway::account
