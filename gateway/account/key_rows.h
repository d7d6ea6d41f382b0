// Made keys as rows on the disk. For the thread that the database belongs to.
#pragma once

#include "backends/contract/error.h"
#include "gateway/account/key_ring.h"
#include "gateway/store/database.h"

#include <string>
#include <vector>

namespace spillway::account {

const std::vector<std::string>& key_versions();
Result<std::vector<MadeKey>> read_keys(store::Database& database);
Result<void> write_key(store::Database& database, const MadeKey& made);  // New, or in its place.

}  // namespace spillway::account
