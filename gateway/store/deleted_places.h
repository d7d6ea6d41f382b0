// Where in its list something stood that was deleted: who pages through a list and deletes as it
// goes names what is gone, and goes on behind it. Remembered for a day.
//
// As Database: of one thread.
#pragma once

#include "gateway/store/database.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace spillway::store {

// One of the versions of a Database that has such a list.
inline constexpr std::string_view kDeletedPlaces =
    "CREATE TABLE deleted (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, place INTEGER NOT NULL, "
    "since INTEGER NOT NULL);"
    "CREATE INDEX deleted_by_age ON deleted (since);";

Result<void> remember_place(Database& database, std::string_view tenant, std::string_view id,
                            std::int64_t place);

// Nothing: nobody remembers it.
Result<std::optional<std::int64_t>> place_of_deleted(Database& database, std::string_view tenant,
                                                     std::string_view id);

}  // namespace spillway::store
