// The book in a SQLite file: the embedded store.
#pragma once

#include "gateway/account/book_reader.h"
#include "gateway/account/journal.h"

#include <memory>
#include <string>

namespace spillway::account {

// Opens or creates the file.
Result<std::unique_ptr<Journal>> open_sqlite_journal(const std::string& path);

// Beside a journal or alone.
Result<std::unique_ptr<BookReader>> open_sqlite_book(const std::string& path);

}  // namespace spillway::account
