// A provider's own account of what was used, held against ours.
#pragma once

#include "backends/contract/error.h"
#include "gateway/account/book_reader.h"

#include <string>

namespace spillway::verbs {

// Days as "2026-11-26"; empty: the export's first, and the day after its last.
struct Days {
  std::string from;
  std::string until;  // Not of them.
};

// Prints each of these days and each model where the export (see provider_export.h) and the book
// differ: tokens by one, costs by more than both round. True if none do. invalid_request: what the
// file lacks.
Result<bool> print_reconciled(account::BookReader& book, const std::string& target,
                              const std::string& csv, const Days& days);

}  // namespace spillway::verbs
