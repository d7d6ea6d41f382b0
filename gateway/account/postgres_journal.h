// The book in a PostgreSQL database, for those who keep their data there.
//
// One gateway writes it at a time: whoever holds the database's advisory lock, on the very
// connection that it writes with. A connection that is lost is made anew, less and less often up to
// every two seconds; if another gateway has written the book in between, this one does so no more,
// for it does not know what was spent. What an entry that was sent before the connection was lost
// has come to is looked up before it is sent again.
#pragma once

#include "gateway/account/book_reader.h"
#include "gateway/account/journal.h"

#include <chrono>
#include <memory>
#include <string>

namespace spillway::account {

// Connects and becomes the writer, for which it waits up to `patience`: the gateway before may be
// ending. `address` as store::Postgres takes it.
Result<std::unique_ptr<Journal>> open_postgres_journal(const std::string& address,
                                                       std::chrono::milliseconds patience);

// Connects when it is asked, as often as needed. Reads only, whoever writes.
std::unique_ptr<BookReader> postgres_book(const std::string& address);

}  // namespace spillway::account
