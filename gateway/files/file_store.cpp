#include "gateway/files/file_store.h"

#include "gateway/store/deleted_places.h"
#include "gateway/store/fresh_id.h"

#include <algorithm>
#include <limits>
#include <unistd.h>
#include <utility>
#include <vector>

namespace spillway::files {
namespace {

constexpr std::size_t kForgottenAtOnce = 1'000;  // The rest are looked at again.
constexpr const char* kColumns = "id, tenant, name, purpose, bytes, created, expires";

Error invalid(Errc code, std::string why, std::string param) {
  return Error{code, std::move(why), std::move(param), std::nullopt};
}

File file_in(const store::Statement& row) {
  File file{std::string(row.text(0)),
            std::string(row.text(1)),
            std::string(row.text(2)),
            std::string(row.text(3)),
            static_cast<std::uint64_t>(row.integer(4)),
            row.integer(5),
            std::nullopt};
  if (!row.is_null(6)) file.expires = row.integer(6);
  return file;
}

}  // namespace

Result<Draft> FileStore::begin(std::string_view tenant) {
  return shelf_.draft(tenant, Shelf::Kind::file, shelf_.limits().file_max);
}

Result<File> FileStore::keep(Draft& draft, File file) {
  if (file.purpose == "batch" && draft.bytes() > shelf_.limits().batch_input_max) {
    return invalid(
        Errc::payload_too_large,
        "a batch's input may have " + std::to_string(shelf_.limits().batch_input_max) + " bytes",
        "file");
  }
  const auto fits = shelf_.check_room(file.tenant, Shelf::Kind::file, draft);
  if (!fits) return fits.error();
  return keep_counted(draft, std::move(file));
}

Result<File> FileStore::keep_counted(Draft& draft, File file) {
  file.id = store::fresh_id("file-");
  file.bytes = draft.bytes();
  auto kept = draft.keep(path_of(file));
  if (kept) kept = insert(file);
  if (kept) return file;
  shelf_.drop(file.id);
  return kept.error();
}

void FileStore::uncount(const File& file) {
  shelf_.take_away(file.tenant, Shelf::Kind::file, file.bytes);
  shelf_.drop(file.id);
}

// The row first: content that no row knows of is swept at the next start.
Result<void> FileStore::adopt(const File& file, const std::string& path) {
  auto adopted = insert(file);
  if (!adopted || ::access(path.c_str(), F_OK) != 0) return adopted;
  return store::rename_durably(path, path_of(file));
}

Result<void> FileStore::insert(const File& file) {
  auto row = shelf_.database().prepare(
      "INSERT OR IGNORE INTO files(id, tenant, name, purpose, bytes, created, expires) "
      "VALUES(?, ?, ?, ?, ?, ?, ?)");
  if (!row) return row.error();
  row->bind(0, file.id).bind(1, file.tenant).bind(2, file.name).bind(3, file.purpose);
  row->bind(4, static_cast<std::int64_t>(file.bytes)).bind(5, file.created);
  file.expires ? row->bind(6, *file.expires) : row->bind_null(6);
  auto inserted = row->run();
  if (inserted && shelf_.database().changed() > 0)
    shelf_.add(file.tenant, Shelf::Kind::file, file.bytes);
  return inserted;
}

Result<File> FileStore::find(std::string_view tenant, std::string_view id, Seconds now) {
  auto row = shelf_.database().prepare(std::string("SELECT ") + kColumns +
                                       " FROM files WHERE id = ? AND tenant = ? AND "
                                       "(expires IS NULL OR expires > ?)");
  if (!row) return row.error();
  auto found = row->bind(0, id).bind(1, tenant).bind(2, now).step();
  if (!found) return found.error();
  if (!*found) return invalid(Errc::not_found, "there is no file '" + std::string(id) + "'", "id");
  return file_in(*row);
}

Result<std::int64_t> FileStore::position_of(std::string_view tenant, std::string_view id) {
  auto row = shelf_.database().prepare("SELECT seq FROM files WHERE id = ? AND tenant = ?");
  if (!row) return row.error();
  auto found = row->bind(0, id).bind(1, tenant).step();
  if (!found) return found.error();
  if (*found) return row->integer(0);
  const auto deleted = store::place_of_deleted(shelf_.database(), tenant, id);
  if (!deleted) return deleted.error();
  if (!*deleted) return invalid(Errc::invalid_request, "'after' names no file", "after");
  return **deleted;
}

Result<FilePage> FileStore::list(std::string_view tenant, const ListQuery& query, Seconds now) {
  using Limits = std::numeric_limits<std::int64_t>;
  std::int64_t from = query.newest_first ? Limits::max() : 0;
  if (!query.after.empty()) {
    const auto after = position_of(tenant, query.after);
    if (!after) return after.error();
    from = *after;
  }
  const std::string order =
      query.newest_first ? "seq < ?3 ORDER BY seq DESC" : "seq > ?3 ORDER BY seq";
  auto rows =
      shelf_.database().prepare(std::string("SELECT ") + kColumns +
                                " FROM files WHERE tenant = ?1 AND (?2 = '' OR purpose = ?2) AND "
                                "(expires IS NULL OR expires > ?4) AND " +
                                order + " LIMIT ?5");
  if (!rows) return rows.error();
  rows->bind(0, tenant).bind(1, query.purpose).bind(2, from).bind(3, now);
  rows->bind(4, std::int64_t{query.limit} + 1);
  FilePage page;
  auto read = rows->each([&] { page.files.push_back(file_in(*rows)); });
  if (!read) return read.error();
  page.has_more = page.files.size() > static_cast<std::size_t>(query.limit);
  if (page.has_more) page.files.pop_back();
  return page;
}

Result<void> FileStore::remove(std::string_view tenant, std::string_view id, Seconds now) {
  const auto file = find(tenant, id, now);
  if (!file) return file.error();
  if (!in_use_(id)) return forget({std::string(id)});
  auto row = shelf_.database().prepare("UPDATE files SET expires = ? WHERE id = ?");
  if (!row) return row.error();
  return row->bind(0, now).bind(1, id).run();
}

Result<void> FileStore::forget(const std::vector<std::string>& ids) {
  auto transaction = store::Transaction::begin(shelf_.database());
  if (!transaction) return transaction.error();
  auto row =
      shelf_.database().prepare("DELETE FROM files WHERE id = ? RETURNING tenant, seq, bytes");
  if (!row) return row.error();
  std::vector<File> gone;
  for (const std::string& id : ids) {
    std::int64_t place = 0;
    auto done = row->bind(0, id).each([&] {
      gone.push_back({.id = id, .tenant = std::string(row->text(0))});
      gone.back().bytes = static_cast<std::uint64_t>(row->integer(2));
      place = row->integer(1);
    });
    if (done) done = store::remember_place(shelf_.database(), gone.back().tenant, id, place);
    if (!done) return done;
  }
  auto committed = transaction->commit();
  if (!committed) return committed;
  for (const File& file : gone) {
    shelf_.take_away(file.tenant, Shelf::Kind::file, file.bytes);
    shelf_.drop(file.id);
  }
  return {};
}

Result<void> FileStore::expire(Seconds now) {
  auto rows = shelf_.database().prepare("SELECT id FROM files WHERE expires <= ?");
  if (!rows) return rows.error();
  std::vector<std::string> over;
  auto read = rows->bind(0, now).each([&] { over.emplace_back(rows->text(0)); });
  if (!read) return read;
  std::erase_if(over, in_use_);
  over.resize(std::min(over.size(), kForgottenAtOnce));
  return over.empty() ? Result<void>() : forget(over);
}

}  // namespace spillway::files
