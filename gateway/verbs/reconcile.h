// A provider's own account of what was used, held against ours.
#pragma once

#include "backends/contract/error.h"
#include "gateway/account/book_reader.h"

#include <string>

namespace spillway::verbs {

// Reads a CSV export with a header: a day (date, day, start_time), model, input and output tokens,
// and cost in USD where it has one, by the names that providers give them. Prints each day and
// model where it and the book differ. True if none do. invalid_request: what the file lacks.
Result<bool> print_reconciled(account::BookReader& book, const std::string& target,
                              const std::string& csv);

}  // namespace spillway::verbs
