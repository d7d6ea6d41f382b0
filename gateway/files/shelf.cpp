#include "gateway/files/shelf.h"

#include "gateway/store/deleted_places.h"
#include "gateway/store/fresh_id.h"

#include <algorithm>
#include <filesystem>
#include <unistd.h>
#include <utility>
#include <vector>

namespace spillway::files {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kVersions = {R"(
CREATE TABLE files(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL,
  name TEXT NOT NULL, purpose TEXT NOT NULL, bytes INTEGER NOT NULL, created INTEGER NOT NULL,
  expires INTEGER);
CREATE INDEX files_of_tenant ON files(tenant, seq);
CREATE INDEX files_expiring ON files(expires) WHERE expires IS NOT NULL;
CREATE TABLE uploads(
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, purpose TEXT NOT NULL,
  bytes INTEGER NOT NULL, mime_type TEXT NOT NULL, created INTEGER NOT NULL,
  expires INTEGER NOT NULL, state INTEGER NOT NULL, file_expires_after INTEGER, file TEXT);
CREATE INDEX uploads_by_state ON uploads(state, expires);
CREATE TABLE parts(
  id TEXT PRIMARY KEY, upload TEXT NOT NULL REFERENCES uploads(id), tenant TEXT NOT NULL,
  bytes INTEGER NOT NULL, created INTEGER NOT NULL);
CREATE INDEX parts_of_upload ON parts(upload);
CREATE INDEX parts_of_tenant ON parts(tenant);
)",
                                            std::string(store::kDeletedPlaces)};
constexpr std::string_view kDraftEnding = ".draft";

Error too_large(std::string why) {
  return Error{Errc::payload_too_large, std::move(why), "file", std::nullopt};
}

std::string left(std::uint64_t bytes) {
  return "there is room for " + std::to_string(bytes) + " more bytes of files: delete some first";
}

}  // namespace

Result<std::unique_ptr<Shelf>> Shelf::open(const store::Directory& directory, Limits limits) {
  auto folder = directory.folder("files");
  if (!folder) return folder.error();
  auto database = store::Database::open(directory.file("files.sqlite"), kVersions);
  if (!database) return database.error();
  std::unique_ptr<Shelf> shelf(new Shelf(std::move(*database), std::move(*folder), limits));
  auto ready = shelf->sweep();
  if (ready) ready = shelf->count();
  if (!ready) return ready.error();
  return shelf;
}

Result<void> Shelf::sweep() {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
    const std::string id = entry.path().filename().string();
    const auto known = knows(id);
    if (!known) return known.error();
    if (!*known) drop(id);
  }
  return {};
}

Result<bool> Shelf::knows(std::string_view id) {
  auto row = database_.prepare(
      "SELECT 1 FROM files WHERE id = ?1 UNION ALL SELECT 1 FROM parts WHERE id = ?1");
  if (!row) return row.error();
  return row->bind(0, id).step();
}

Result<std::uint64_t> Shelf::room_for(std::string_view tenant) {
  auto used = database_.prepare(
      "SELECT (SELECT coalesce(sum(bytes), 0) FROM files WHERE tenant = ?1) + "
      "(SELECT coalesce(sum(bytes), 0) FROM parts WHERE tenant = ?1)");
  if (!used) return used.error();
  const auto row = used->bind(0, tenant).step();
  if (!row) return row.error();
  return limits_.tenant_max -
         std::min(limits_.tenant_max, static_cast<std::uint64_t>(used->integer(0)));
}

Result<void> Shelf::check_room(std::string_view tenant, std::uint64_t bytes) {
  const auto room = room_for(tenant);
  if (!room) return room.error();
  if (*room >= bytes) return {};
  return too_large(left(*room));
}

Result<Draft> Shelf::draft(std::string_view tenant, std::uint64_t bytes_max) {
  const auto room = room_for(tenant);
  if (!room) return room.error();
  Error excuse = too_large("it may have at most " + std::to_string(bytes_max) + " bytes");
  if (*room < bytes_max) {
    excuse = too_large(left(*room));
  }
  std::string path = path_of(store::fresh_id("")) + std::string(kDraftEnding);
  return Draft::create(std::move(path), std::min(bytes_max, *room), std::move(excuse));
}

void Shelf::drop(std::string_view id) const { ::unlink(path_of(id).c_str()); }

Result<void> Shelf::count() {
  auto sum = database_.prepare(
      "SELECT (SELECT coalesce(sum(bytes), 0) FROM files) + "
      "(SELECT coalesce(sum(bytes), 0) FROM parts)");
  if (!sum) return sum.error();
  const auto row = sum->step();
  if (!row) return row.error();
  bytes_.store(static_cast<std::uint64_t>(sum->integer(0)), std::memory_order_relaxed);
  return {};
}

}  // namespace spillway::files
