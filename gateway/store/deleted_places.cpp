#include "gateway/store/deleted_places.h"

namespace spillway::store {

Result<void> remember_place(Database& database, std::string_view tenant, std::string_view id,
                            std::int64_t place) {
  auto forgotten = database.run("DELETE FROM deleted WHERE since < unixepoch() - 24 * 3600");
  if (!forgotten) return forgotten;
  auto row = database.prepare("INSERT OR REPLACE INTO deleted VALUES (?, ?, ?, unixepoch())");
  if (!row) return row.error();
  return row->bind(0, id).bind(1, tenant).bind(2, place).run();
}

Result<std::optional<std::int64_t>> place_of_deleted(Database& database, std::string_view tenant,
                                                     std::string_view id) {
  auto row = database.prepare("SELECT place FROM deleted WHERE id = ? AND tenant = ?");
  if (!row) return row.error();
  const auto there = row->bind(0, id).bind(1, tenant).step();
  if (!there) return there.error();
  return *there ? std::optional(row->integer(0)) : std::nullopt;
}

}  // namespace spillway::store
