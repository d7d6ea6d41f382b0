#include "gateway/files/shelf.h"

#include "gateway/store/deleted_places.h"
#include "gateway/store/fresh_id.h"

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

}  // namespace

Result<std::unique_ptr<Shelf>> Shelf::open(const store::Directory& directory, Limits limits) {
  auto folder = directory.folder("files");
  if (!folder) return folder.error();
  auto database = store::Database::open(directory.file("files.sqlite"), kVersions);
  if (!database) return database.error();
  std::unique_ptr<Shelf> shelf(new Shelf(std::move(*database), std::move(*folder), limits));
  auto ready = shelf->sweep();
  if (ready) ready = shelf->count(Kind::file, "files");
  if (ready) ready = shelf->count(Kind::part, "parts");
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

// Once: what comes and goes is added up from then on.
Result<void> Shelf::count(Kind kind, std::string_view rows) {
  auto all = database_.prepare("SELECT tenant, bytes FROM " + std::string(rows));
  if (!all) return all.error();
  return all->each([&] { add(all->text(0), kind, static_cast<std::uint64_t>(all->integer(1))); });
}

std::shared_ptr<Room> Shelf::room_of(std::string_view tenant) {
  const auto found = rooms_.find(tenant);
  if (found != rooms_.end()) return found->second;
  auto room = std::make_shared<Room>(Room{.bytes_max = limits_.tenant_max});
  return rooms_.emplace(tenant, std::move(room)).first->second;
}

void Shelf::add(std::string_view tenant, Kind kind, std::uint64_t bytes) {
  const auto room = room_of(tenant);
  room->kept += weight(bytes);
  ++(kind == Kind::file ? room->files : room->parts);
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

void Shelf::take_away(std::string_view tenant, Kind kind, std::uint64_t bytes) {
  const auto room = room_of(tenant);
  room->kept -= weight(bytes);
  --(kind == Kind::file ? room->files : room->parts);
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
}

Result<void> Shelf::check_number(const Room& room, Kind kind) const {
  if (kind == Kind::file && room.files >= limits_.tenant_files_max)
    return too_large("there are " + std::to_string(room.files) +
                     " files, as many as may be: delete some first");
  if (kind == Kind::part && room.parts >= limits_.tenant_parts_max)
    return too_large("the uploads under way have " + std::to_string(room.parts) +
                     " parts, as many as may be: complete or cancel some first");
  return {};
}

Result<void> Shelf::check_room(std::string_view tenant, Kind kind, const Draft& draft) {
  const auto room = room_of(tenant);
  if (weight(draft.bytes()) - draft.bytes() > room->left()) return no_room(*room);
  return check_number(*room, kind);
}

Result<Draft> Shelf::draft(std::string_view tenant, Kind kind, std::uint64_t bytes_max) {
  auto room = room_of(tenant);
  const auto allowed = check_number(*room, kind);
  if (!allowed) return allowed.error();
  std::string path = path_of(store::fresh_id("")) + std::string(kDraftEnding);
  return Draft::create(std::move(path), bytes_max,
                       too_large("it may have at most " + std::to_string(bytes_max) + " bytes"),
                       std::move(room));
}

void Shelf::drop(std::string_view id) const { ::unlink(path_of(id).c_str()); }

}  // namespace spillway::files
