// The book's tables in PostgreSQL, in a schema of their own, and a group of entries as one
// statement over them.
#pragma once

#include "gateway/account/slot.h"
#include "gateway/store/postgres.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::account {

// Makes what is not there yet. Requires: nobody else does at the same time.
Result<void> make_tables(store::Postgres& connection);

// Where all statements look for the tables.
constexpr std::string_view kUseTables = "SET search_path TO spillway_ledger";

// Slots that are settled, as the values of `kBook`: entries that are new are added, and hours and
// accounts brought forward by just those; holds that were written down end. All or nothing. Its one
// row counts the new entries.
extern const std::string kBook;
std::vector<std::string> values_of(const std::vector<const Slot*>& settled,
                                   const std::vector<const Slot*>& ended);

// The values of `kKnown`: its rows are the positions, from 1, of the slots of which something is in
// the book.
extern const std::string kKnown;
std::vector<std::string> names_of(const std::vector<const Slot*>& slots);

// The values of `kWriteHolds`.
extern const std::string kWriteHolds;
std::vector<std::string> holds_of(const std::vector<const Slot*>& held);

}  // namespace spillway::account
