#include "gateway/files/upload_store.h"

#include "gateway/store/fresh_id.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace spillway::files {
namespace {

// So much is copied at a time: a few milliseconds.
constexpr std::size_t kStepBytes = 4 << 20;
constexpr std::int64_t kPendingMax = 1'000;  // Of one tenant.
constexpr Seconds kRemembered = 86'400;      // After it has ended.
constexpr std::chrono::seconds kCompletedLater{1};

Error invalid(std::string why, std::string param) {
  return Error{Errc::invalid_request, std::move(why), std::move(param), std::nullopt};
}

std::string in_lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

}  // namespace

std::string_view name_of(UploadState state) {
  switch (state) {
    case UploadState::pending: return "pending";
    case UploadState::completed: return "completed";
    case UploadState::cancelled: return "cancelled";
    case UploadState::expired: return "expired";
  }
  return "";
}

Result<Upload> UploadStore::create(Upload upload) {
  const std::uint64_t most =
      upload.purpose == "batch" ? shelf_.limits().batch_input_max : shelf_.limits().file_max;
  if (upload.bytes > most)
    return invalid("must be at most " + std::to_string(most) + " for this purpose", "bytes");
  auto begun = shelf_.database().prepare(
      "SELECT count(*) FROM uploads WHERE tenant = ? AND state = 0 AND expires > ?");
  if (!begun) return begun.error();
  const auto counted = begun->bind(0, upload.tenant).bind(1, upload.created).step();
  if (!counted) return counted.error();
  if (begun->integer(0) >= kPendingMax) {
    return Error{
        Errc::rate_limited,
        "there are " + std::to_string(kPendingMax) + " uploads under way: complete or cancel some",
        "", std::chrono::minutes(1)};
  }
  upload.id = store::fresh_id("upload_");
  upload.expires = upload.created + kUploadLifetime;
  auto row = shelf_.database().prepare(
      "INSERT INTO uploads(id, tenant, name, purpose, bytes, mime_type, created, expires, state, "
      "file_expires_after) VALUES(?, ?, ?, ?, ?, ?, ?, ?, 0, ?)");
  if (!row) return row.error();
  row->bind(0, upload.id).bind(1, upload.tenant).bind(2, upload.name).bind(3, upload.purpose);
  row->bind(4, static_cast<std::int64_t>(upload.bytes)).bind(5, upload.mime_type);
  row->bind(6, upload.created).bind(7, upload.expires);
  upload.file_expires_after ? row->bind(8, *upload.file_expires_after) : row->bind_null(8);
  const auto inserted = row->run();
  if (!inserted) return inserted.error();
  return upload;
}

Result<Upload> UploadStore::find(std::string_view tenant, std::string_view id) {
  auto row = shelf_.database().prepare(
      "SELECT name, purpose, bytes, mime_type, created, expires, state, file_expires_after, file "
      "FROM uploads WHERE id = ? AND tenant = ?");
  if (!row) return row.error();
  const auto found = row->bind(0, id).bind(1, tenant).step();
  if (!found) return found.error();
  if (!*found) {
    return Error{Errc::not_found, "there is no upload '" + std::string(id) + "'", "id",
                 std::nullopt};
  }
  Upload upload{.id = std::string(id),
                .tenant = std::string(tenant),
                .name = std::string(row->text(0)),
                .purpose = std::string(row->text(1)),
                .bytes = static_cast<std::uint64_t>(row->integer(2)),
                .mime_type = std::string(row->text(3)),
                .created = row->integer(4),
                .expires = row->integer(5),
                .state = static_cast<UploadState>(row->integer(6))};
  if (!row->is_null(7)) upload.file_expires_after = row->integer(7);
  return upload;
}

Result<Upload> UploadStore::pending(std::string_view tenant, std::string_view id, Seconds now) {
  auto upload = find(tenant, id);
  if (!upload) return upload;
  if (upload->state == UploadState::pending && upload->expires <= now)
    upload->state = UploadState::expired;
  if (upload->state == UploadState::pending) return upload;
  return invalid("the upload is " + std::string(name_of(upload->state)) + ": begin another", "id");
}

Result<Upload> UploadStore::at_rest(std::string_view tenant, std::string_view id, Seconds now) {
  auto upload = pending(tenant, id, now);
  if (!upload || !in_assembly_.contains(id)) return upload;
  return Error{Errc::conflict, "the upload is being completed", "id", kCompletedLater};
}

Result<Draft> UploadStore::begin_part(std::string_view tenant, std::string_view id, Seconds now) {
  const auto upload = at_rest(tenant, id, now);
  if (!upload) return upload.error();
  return shelf_.draft(tenant, Shelf::Kind::part, shelf_.limits().part_max);
}

Result<PartOfUpload> UploadStore::keep_part(Draft& draft, std::string_view tenant,
                                            std::string_view id, Seconds now) {
  const auto upload = at_rest(tenant, id, now);
  if (!upload) return upload.error();
  const auto fits = shelf_.check_room(tenant, Shelf::Kind::part, draft);
  if (!fits) return fits.error();
  const PartOfUpload part{store::fresh_id("part_"), std::string(id), draft.bytes(), now};
  auto kept = draft.keep(shelf_.path_of(part.id));
  if (kept) kept = insert(part, tenant);
  if (kept) return part;
  shelf_.drop(part.id);
  return kept.error();
}

Result<void> UploadStore::insert(const PartOfUpload& part, std::string_view tenant) {
  auto row = shelf_.database().prepare(
      "INSERT INTO parts(id, upload, tenant, bytes, created) VALUES(?, ?, ?, ?, ?)");
  if (!row) return row.error();
  row->bind(0, part.id).bind(1, part.upload).bind(2, tenant);
  row->bind(3, static_cast<std::int64_t>(part.bytes)).bind(4, part.created);
  auto inserted = row->run();
  if (inserted) shelf_.add(tenant, Shelf::Kind::part, part.bytes);
  return inserted;
}

Result<Upload> UploadStore::cancel(std::string_view tenant, std::string_view id, Seconds now) {
  auto upload = at_rest(tenant, id, now);
  if (!upload) return upload;
  const auto ended = end(*upload, UploadState::cancelled);
  if (!ended) return ended.error();
  upload->state = UploadState::cancelled;
  return upload;
}

// The rows first: parts that a kill leaves behind are swept at the next start.
Result<void> UploadStore::end(const Upload& upload, UploadState state) {
  auto transaction = store::Transaction::begin(shelf_.database());
  if (!transaction) return transaction.error();
  auto gone = mark_ended(upload, state);
  if (!gone) return gone.error();
  const auto done = transaction->commit();
  if (done) drop(*gone);
  return done;
}

// Requires: a transaction. The parts that are to be dropped.
Result<std::vector<UploadStore::Gone>> UploadStore::mark_ended(const Upload& upload,
                                                               UploadState state) {
  auto row = shelf_.database().prepare(
      "UPDATE uploads SET state = ?, file = ? WHERE id = ? AND state = 0");
  if (!row) return row.error();
  row->bind(0, static_cast<std::int64_t>(state));
  upload.file ? row->bind(1, upload.file->id) : row->bind_null(1);
  auto done = row->bind(2, upload.id).run();
  if (!done) return done.error();
  auto parts =
      shelf_.database().prepare("DELETE FROM parts WHERE upload = ? RETURNING id, tenant, bytes");
  if (!parts) return parts.error();
  std::vector<Gone> gone;
  done = parts->bind(0, upload.id).each([&] {
    gone.push_back({std::string(parts->text(0)), std::string(parts->text(1)),
                    static_cast<std::uint64_t>(parts->integer(2))});
  });
  if (!done) return done.error();
  return gone;
}

void UploadStore::drop(const std::vector<Gone>& parts) {
  for (const Gone& part : parts) {
    shelf_.take_away(part.tenant, Shelf::Kind::part, part.bytes);
    shelf_.drop(part.id);
  }
}

Result<void> UploadStore::expire(Seconds now) {
  auto rows = shelf_.database().prepare("SELECT id FROM uploads WHERE state = 0 AND expires <= ?");
  if (!rows) return rows.error();
  std::vector<Upload> late;
  auto read = rows->bind(0, now).each([&] { late.push_back({.id = std::string(rows->text(0))}); });
  if (!read) return read;
  for (const Upload& upload : late) {
    if (in_assembly_.contains(upload.id)) continue;
    auto ended = end(upload, UploadState::expired);
    if (!ended) return ended;
  }
  auto forget = shelf_.database().prepare("DELETE FROM uploads WHERE state != 0 AND expires <= ?");
  if (!forget) return forget.error();
  return forget->bind(0, now - kRemembered).run();
}

Result<UploadStore::Assembly> UploadStore::assemble(std::string_view tenant, std::string_view id,
                                                    const std::vector<std::string>& part_ids,
                                                    std::string md5, Seconds now) {
  auto upload = at_rest(tenant, id, now);
  if (!upload) return upload.error();
  auto part = shelf_.database().prepare("SELECT bytes FROM parts WHERE id = ? AND upload = ?");
  if (!part) return part.error();
  std::uint64_t bytes = 0;
  std::set<std::string_view> named;
  for (const std::string& part_id : part_ids) {
    if (!named.insert(part_id).second)
      return invalid("'" + part_id + "' is named twice", "part_ids");
    auto found = part->bind(0, part_id).bind(1, id).step();
    if (!found) return found.error();
    if (!*found) return invalid("'" + part_id + "' is no part of this upload", "part_ids");
    bytes += static_cast<std::uint64_t>(part->integer(0));
    found = part->step();
    if (!found) return found.error();
  }
  if (bytes != upload->bytes) {
    return invalid("the parts have " + std::to_string(bytes) + " bytes together, " +
                       std::to_string(upload->bytes) + " were announced",
                   "part_ids");
  }
  // Its bytes are counted as parts already, which go when it is kept.
  auto room = std::make_shared<Room>(Room{.bytes_max = bytes});
  auto draft = Draft::create(shelf_.path_of(store::fresh_id("")) + ".draft", bytes,
                             invalid("the parts have changed", "part_ids"), std::move(room));
  if (!draft) return draft.error();
  Assembly assembly(*this, std::move(*upload), std::move(*draft), in_lower_case(std::move(md5)));
  assembly.parts_ = part_ids;
  return assembly;
}

UploadStore::Assembly::Assembly(UploadStore& store, Upload upload, Draft draft, std::string md5)
    : store_(store),
      upload_(std::move(upload)),
      alone_(nullptr, [&store, id = upload_.id](const void*) { store.in_assembly_.erase(id); }),
      draft_(std::move(draft)),
      wanted_(std::move(md5)) {
  store.in_assembly_.insert(upload_.id);
}

Result<bool> UploadStore::Assembly::step() {
  if (at_ == parts_.size()) return true;
  const auto file = store::DiskFile::read(store_.shelf_.path_of(parts_[at_]));
  if (!file) return file.error();
  const auto bytes = file->read_at(offset_, kStepBytes);
  if (!bytes) return bytes.error();
  const auto written = draft_.write(*bytes);
  if (!written) return written.error();
  md5_.add(*bytes);
  offset_ += bytes->size();
  if (bytes->size() < kStepBytes) {
    ++at_;
    offset_ = 0;
  }
  return at_ == parts_.size();
}

Result<Upload> UploadStore::Assembly::finish(Seconds now) {
  if (!wanted_.empty() && md5_.hex() != wanted_)
    return invalid("the parts do not have this MD5 together", "md5");
  File file{"", upload_.tenant, upload_.name, upload_.purpose, 0, now, std::nullopt};
  if (upload_.file_expires_after) file.expires = now + *upload_.file_expires_after;
  auto transaction = store::Transaction::begin(store_.shelf_.database());
  if (!transaction) return transaction.error();
  auto kept = store_.files_.keep_counted(draft_, std::move(file));
  if (!kept) return kept.error();
  upload_.file = *kept;
  upload_.state = UploadState::completed;
  const auto gone = store_.mark_ended(upload_, UploadState::completed);
  const auto ended = gone ? transaction->commit() : Result<void>(gone.error());
  if (!ended) {
    store_.files_.uncount(*kept);
    return ended.error();
  }
  store_.drop(*gone);
  return upload_;
}

}  // namespace spillway::files
