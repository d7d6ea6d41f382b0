// Which store keeps the book: the configured database, else the state directory.
#pragma once

#include "config/settings.h"
#include "gateway/account/book_reader.h"
#include "gateway/account/journal.h"

#include <memory>
#include <string>

namespace spillway::account {

// `directory` ends without a slash; only SQLite looks at it.
Result<std::unique_ptr<Journal>> open_journal(const config::Ledger& settings,
                                              const std::string& directory);
Result<std::unique_ptr<BookReader>> open_book(const config::Ledger& settings,
                                              const std::string& directory);

}  // namespace spillway::account
