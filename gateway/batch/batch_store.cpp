#include "gateway/batch/batch_store.h"

#include "gateway/store/disk_file.h"
#include "gateway/store/fresh_id.h"

#include <filesystem>
#include <limits>
#include <unistd.h>
#include <utility>

namespace spillway::batch {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kVersions = {R"(
CREATE TABLE batches(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL,
  key_name TEXT NOT NULL, endpoint TEXT NOT NULL, input_file TEXT NOT NULL,
  output_file TEXT NOT NULL, error_file TEXT NOT NULL, metadata TEXT NOT NULL,
  model TEXT NOT NULL DEFAULT '', state INTEGER NOT NULL DEFAULT 0,
  ends_as INTEGER NOT NULL DEFAULT 3, created INTEGER NOT NULL, expires INTEGER NOT NULL,
  output_expires_after INTEGER, in_progress INTEGER, finalizing INTEGER, completed INTEGER,
  failed INTEGER, expired INTEGER, cancelling INTEGER, cancelled INTEGER,
  lines INTEGER NOT NULL DEFAULT 0, lines_completed INTEGER NOT NULL DEFAULT 0,
  lines_failed INTEGER NOT NULL DEFAULT 0, input_tokens INTEGER NOT NULL DEFAULT 0,
  cached_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
  reasoning_tokens INTEGER NOT NULL DEFAULT 0, output_bytes INTEGER NOT NULL DEFAULT 0,
  error_bytes INTEGER NOT NULL DEFAULT 0, faults TEXT NOT NULL DEFAULT '');
CREATE INDEX batches_of_tenant ON batches(tenant, seq);
CREATE INDEX batches_by_state ON batches(state);
CREATE TABLE lines(
  batch INTEGER NOT NULL, line INTEGER NOT NULL, offset INTEGER NOT NULL, bytes INTEGER NOT NULL,
  custom_id TEXT NOT NULL, done INTEGER NOT NULL, PRIMARY KEY(batch, line)) WITHOUT ROWID;
CREATE UNIQUE INDEX lines_by_custom_id ON lines(batch, custom_id);
)",
                                            "ALTER TABLE lines ADD COLUMN attempt INTEGER NOT NULL "
                                            "DEFAULT 0",
                                            R"(
ALTER TABLE lines DROP COLUMN attempt;
ALTER TABLE batches ADD COLUMN rounds INTEGER NOT NULL DEFAULT 0;
)",
                                            R"(
ALTER TABLE lines ADD COLUMN handover INTEGER NOT NULL DEFAULT 0;
CREATE TABLE handovers(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, batch INTEGER NOT NULL,
  target TEXT NOT NULL, model TEXT NOT NULL, path TEXT NOT NULL, input_file TEXT NOT NULL,
  remote TEXT NOT NULL DEFAULT '', output_file TEXT NOT NULL DEFAULT '',
  error_file TEXT NOT NULL DEFAULT '', state INTEGER NOT NULL, created INTEGER NOT NULL,
  lines INTEGER NOT NULL, completed INTEGER NOT NULL DEFAULT 0, most INTEGER NOT NULL);
CREATE INDEX handovers_of_batch ON handovers(batch);
)"};
const std::string kSelect =
    "SELECT id, tenant, key_name, endpoint, input_file, output_file, error_file, metadata, model, "
    "state, ends_as, created, expires, output_expires_after, in_progress, finalizing, completed, "
    "failed, expired, cancelling, cancelled, lines, lines_completed, lines_failed, input_tokens, "
    "cached_tokens, output_tokens, reasoning_tokens, output_bytes, error_bytes, faults, "
    // What providers say that they have answered, and nobody has fetched.
    "(SELECT coalesce(sum(max(0, completed - (SELECT count(*) FROM lines WHERE batch = "
    "batches.seq AND handover = handovers.seq AND done = 1))), 0) FROM handovers WHERE batch = "
    "batches.seq) FROM batches ";
// Those that still have something to do, as numbers of State.
constexpr const char* kUnfinished = "state IN (0, 1, 2, 6)";

std::optional<Seconds> time_at(const store::Statement& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return row.integer(column);
}

Batch batch_in(const store::Statement& row) {
  Batch batch;
  std::string* const texts[] = {&batch.id,         &batch.tenant,     &batch.key_name,
                                &batch.endpoint,   &batch.input_file, &batch.output_file,
                                &batch.error_file, &batch.metadata,   &batch.model};
  int column = 0;
  for (std::string* text : texts) *text = row.text(column++);
  batch.state = static_cast<State>(row.integer(column++));
  batch.ends_as = static_cast<State>(row.integer(column++));
  batch.created = row.integer(column++);
  batch.expires = row.integer(column++);
  std::optional<Seconds>* const times[] = {&batch.output_expires_after,
                                           &batch.in_progress,
                                           &batch.finalizing,
                                           &batch.completed,
                                           &batch.failed,
                                           &batch.expired,
                                           &batch.cancelling,
                                           &batch.cancelled};
  for (std::optional<Seconds>* time : times) *time = time_at(row, column++);
  for (int* count : {&batch.lines, &batch.lines_completed, &batch.lines_failed})
    *count = static_cast<int>(row.integer(column++));
  Tokens& tokens = batch.tokens;
  for (std::int64_t* count : {&tokens.input, &tokens.cached, &tokens.output, &tokens.reasoning})
    *count = row.integer(column++);
  for (std::uint64_t* bytes : {&batch.output_bytes, &batch.error_bytes})
    *bytes = static_cast<std::uint64_t>(row.integer(column++));
  batch.faults = faults_in(row.text(column++));
  batch.lines_answered_elsewhere = static_cast<int>(row.integer(column));
  return batch;
}

Error invalid(Errc code, std::string why, std::string param) {
  return Error{code, std::move(why), std::move(param), std::nullopt};
}

Error no_batch(std::string_view id) {
  return invalid(Errc::not_found, "there is no batch '" + std::string(id) + "'", "id");
}

// The first row of a statement, or what the caller asked for is not there.
Result<Batch> one(store::Statement& statement, std::string_view id) {
  const auto row = statement.step();
  if (!row) return row.error();
  if (*row) return batch_in(statement);
  return no_batch(id);
}

Result<std::vector<Batch>> all(store::Statement& statement) {
  std::vector<Batch> batches;
  auto read = statement.each([&] { batches.push_back(batch_in(statement)); });
  if (!read) return read.error();
  return batches;
}

// Appends to what is known to be whole; the new size, once it is durable.
Result<std::uint64_t> append(const std::string& path, std::uint64_t whole,
                             const std::string& text) {
  if (text.empty()) return whole;
  auto file = store::DiskFile::append(path);
  if (!file) return file.error();
  auto written = file->cut(whole);
  if (written) written = file->write(text);
  if (written) written = file->sync();
  if (!written) {
    (void)file->cut(whole);
    return written.error();
  }
  return whole + text.size();
}

}  // namespace

Result<std::unique_ptr<BatchStore>> BatchStore::open(const store::Directory& directory) {
  auto folder = directory.folder("batches");
  if (!folder) return folder.error();
  auto database = store::Database::open(directory.file("batches.sqlite"), kVersions);
  if (!database) return database.error();
  std::unique_ptr<BatchStore> opened(new BatchStore(std::move(*database), std::move(*folder)));
  auto ready = opened->sweep();
  if (ready) ready = opened->count();
  if (!ready) return ready.error();
  return opened;
}

// What a batch has left in the folder that has ended, or that no row knows of.
Result<void> BatchStore::sweep() {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
    auto row =
        database_.prepare("SELECT 1 FROM batches WHERE id = ? AND " + std::string(kUnfinished));
    if (!row) return row.error();
    const auto wanted = row->bind(0, entry.path().stem().string()).step();
    if (!wanted) return wanted.error();
    if (!*wanted) ::unlink(entry.path().c_str());
  }
  return {};
}

Result<Batch> BatchStore::create(Batch batch, const std::string& path) {
  batch.id = store::fresh_id("batch_");
  batch.output_file = store::fresh_id("file-");
  batch.error_file = store::fresh_id("file-");
  // Whoever deletes the file does not disturb the batch.
  auto kept = store::link_durably(path, input_path(batch.id));
  if (kept) kept = insert(batch);
  if (!kept) {
    ::unlink(input_path(batch.id).c_str());
    return kept.error();
  }
  (void)count();
  return batch;
}

Result<void> BatchStore::insert(const Batch& batch) {
  auto row = database_.prepare(
      "INSERT INTO batches(id, tenant, key_name, endpoint, input_file, output_file, error_file, "
      "metadata, created, expires, output_expires_after) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  if (!row) return row.error();
  row->bind(0, batch.id).bind(1, batch.tenant).bind(2, batch.key_name).bind(3, batch.endpoint);
  row->bind(4, batch.input_file).bind(5, batch.output_file).bind(6, batch.error_file);
  row->bind(7, batch.metadata).bind(8, batch.created).bind(9, batch.expires);
  batch.output_expires_after ? row->bind(10, *batch.output_expires_after) : row->bind_null(10);
  return row->run();
}

Result<Batch> BatchStore::find(std::string_view tenant, std::string_view id) {
  auto row = database_.prepare(kSelect + "WHERE id = ? AND tenant = ?");
  if (!row) return row.error();
  row->bind(0, id).bind(1, tenant);
  return one(*row, id);
}

Result<Batch> BatchStore::find(std::string_view id) {
  auto row = database_.prepare(kSelect + "WHERE id = ?");
  if (!row) return row.error();
  row->bind(0, id);
  return one(*row, id);
}

Result<BatchPage> BatchStore::list(std::string_view tenant, int limit, std::string_view after) {
  std::int64_t from = std::numeric_limits<std::int64_t>::max();
  if (!after.empty()) {
    auto row = database_.prepare("SELECT seq FROM batches WHERE id = ? AND tenant = ?");
    if (!row) return row.error();
    const auto found = row->bind(0, after).bind(1, tenant).step();
    if (!found) return found.error();
    if (!*found) return invalid(Errc::invalid_request, "'after' names no batch", "after");
    from = row->integer(0);
  }
  auto rows = database_.prepare(kSelect + "WHERE tenant = ? AND seq < ? ORDER BY seq DESC LIMIT ?");
  if (!rows) return rows.error();
  rows->bind(0, tenant).bind(1, from).bind(2, std::int64_t{limit} + 1);
  auto batches = all(*rows);
  if (!batches) return batches.error();
  BatchPage page{std::move(*batches), false};
  page.has_more = page.batches.size() > static_cast<std::size_t>(limit);
  if (page.has_more) page.batches.pop_back();
  return page;
}

Result<int> BatchStore::pending(std::string_view tenant) {
  auto row = database_.prepare("SELECT count(*) FROM batches WHERE tenant = ? AND " +
                               std::string(kUnfinished));
  if (!row) return row.error();
  const auto counted = row->bind(0, tenant).step();
  if (!counted) return counted.error();
  return static_cast<int>(row->integer(0));
}

Result<bool> BatchStore::uses(std::string_view input_file) {
  auto row = database_.prepare("SELECT 1 FROM batches WHERE input_file = ? AND " +
                               std::string(kUnfinished));
  if (!row) return row.error();
  return row->bind(0, input_file).step();
}

Result<std::vector<Batch>> BatchStore::unfinished() {
  auto rows = database_.prepare(kSelect + "WHERE " + kUnfinished + " ORDER BY seq");
  if (!rows) return rows.error();
  return all(*rows);
}

Result<void> BatchStore::change(std::string_view sql, std::string_view id, std::int64_t value) {
  auto row = database_.prepare(sql);
  if (!row) return row.error();
  auto changed = row->bind(0, value).bind(1, id).run();
  if (changed) changed = count();
  return changed;
}

Result<Batch> BatchStore::cancel(std::string_view tenant, std::string_view id, Seconds now) {
  const auto before = find(tenant, id);
  if (!before || before->state == State::cancelling) return before;
  if (before->state != State::validating && before->state != State::in_progress) {
    return invalid(Errc::invalid_request,
                   "the batch is " + std::string(name_of(before->state)) +
                       ": there is nothing to cancel any more",
                   "id");
  }
  const auto changed =
      change("UPDATE batches SET state = 6, ends_as = 7, cancelling = ? WHERE id = ?", id, now);
  if (!changed) return changed.error();
  return find(tenant, id);
}

Result<int> BatchStore::begin_round(std::string_view id) {
  auto row =
      database_.prepare("UPDATE batches SET rounds = rounds + 1 WHERE id = ? RETURNING rounds");
  if (!row) return row.error();
  row->bind(0, id);
  int round = 0;
  const auto counted = row->each([&] { round = static_cast<int>(row->integer(0)); });
  if (!counted) return counted.error();
  if (round == 0) return no_batch(id);
  return round;
}

Result<std::vector<LineRef>> BatchStore::undone(std::string_view id, int after, int limit) {
  auto rows = database_.prepare(
      "SELECT line, offset, bytes, custom_id FROM lines WHERE done = 0 AND handover <= 0 AND "
      "line > ? AND "
      "batch = (SELECT seq FROM batches WHERE id = ?) ORDER BY line LIMIT ?");
  if (!rows) return rows.error();
  rows->bind(0, std::int64_t{after}).bind(1, id).bind(2, std::int64_t{limit});
  std::vector<LineRef> lines;
  auto read = rows->each([&] {
    lines.push_back({static_cast<int>(rows->integer(0)),
                     static_cast<std::uint64_t>(rows->integer(1)),
                     static_cast<std::size_t>(rows->integer(2)), std::string(rows->text(3))});
  });
  if (!read) return read.error();
  return lines;
}

Result<std::string> BatchStore::read(std::string_view id, const LineRef& line) {
  const auto input = store::DiskFile::read(input_path(id));
  if (!input) return input.error();
  return input->read_at(line.offset, line.bytes);
}

Result<void> BatchStore::record(std::string_view id, const std::vector<LineResult>& results) {
  const auto batch = find(id);
  if (!batch) return batch.error();
  std::string output, errors;
  for (const LineResult& result : results)
    (result.completed ? output : errors).append(result.text).append("\n");
  const auto output_bytes = append(output_path(id), batch->output_bytes, output);
  if (!output_bytes) return output_bytes.error();
  const auto error_bytes = append(error_path(id), batch->error_bytes, errors);
  if (!error_bytes) return error_bytes.error();
  auto transaction = store::Transaction::begin(database_);
  if (!transaction) return transaction.error();
  auto done = mark_done(*batch, results, *output_bytes, *error_bytes);
  if (done) done = transaction->commit();
  if (!done) return done;
  const auto size = static_cast<std::int64_t>(results.size());
  gauges_.lines_waiting.fetch_sub(size, std::memory_order_relaxed);
  for (const LineResult& result : results)
    (result.completed ? gauges_.lines_completed : gauges_.lines_failed)
        .fetch_add(1, std::memory_order_relaxed);
  return {};
}

Result<void> BatchStore::mark_done(const Batch& batch, const std::vector<LineResult>& results,
                                   std::uint64_t output_bytes, std::uint64_t error_bytes) {
  auto line = database_.prepare(
      "UPDATE lines SET done = 1 WHERE line = ? AND batch = (SELECT seq FROM batches WHERE id = "
      "?)");
  if (!line) return line.error();
  Tokens sum;
  int completed = 0;
  for (const LineResult& result : results) {
    const auto marked = line->bind(0, std::int64_t{result.number}).bind(1, batch.id).run();
    if (!marked) return marked.error();
    completed += result.completed ? 1 : 0;
    sum.input += result.tokens.input, sum.cached += result.tokens.cached;
    sum.output += result.tokens.output, sum.reasoning += result.tokens.reasoning;
  }
  auto row = database_.prepare(
      "UPDATE batches SET output_bytes = ?, error_bytes = ?, "
      "lines_completed = lines_completed + ?, lines_failed = lines_failed + ?, "
      "input_tokens = input_tokens + ?, cached_tokens = cached_tokens + ?, "
      "output_tokens = output_tokens + ?, reasoning_tokens = reasoning_tokens + ? WHERE id = ?");
  if (!row) return row.error();
  row->bind(0, static_cast<std::int64_t>(output_bytes));
  row->bind(1, static_cast<std::int64_t>(error_bytes)).bind(2, std::int64_t{completed});
  row->bind(3, static_cast<std::int64_t>(results.size()) - completed);
  row->bind(4, sum.input).bind(5, sum.cached).bind(6, sum.output).bind(7, sum.reasoning);
  return row->bind(8, batch.id).run();
}

Result<void> BatchStore::trim(const Batch& batch) {
  const std::pair<std::string, std::uint64_t> files[] = {
      {output_path(batch.id), batch.output_bytes}, {error_path(batch.id), batch.error_bytes}};
  for (const auto& [path, bytes] : files) {
    if (::access(path.c_str(), F_OK) != 0) continue;  // Nothing came of it, or it is handed over.
    auto file = store::DiskFile::append(path);
    if (!file) return file.error();
    auto cut = file->cut(bytes);
    if (!cut) return cut;
  }
  return {};
}

Result<Batch> BatchStore::begin_end(std::string_view id, State ends_as, Seconds now) {
  auto row = database_.prepare(
      "UPDATE batches SET state = 2, finalizing = ?, ends_as = ? WHERE id = ? AND "
      "state IN (0, 1)");
  if (!row) return row.error();
  row->bind(0, now).bind(1, static_cast<std::int64_t>(ends_as)).bind(2, id);
  auto begun = row->run();
  if (begun) begun = count();
  if (!begun) return begun.error();
  return find(id);
}

Result<Batch> BatchStore::end(std::string_view id, Seconds now) {
  auto batch = find(id);
  if (!batch) return batch;
  const std::string column(name_of(batch->ends_as));
  auto transaction = store::Transaction::begin(database_);
  if (!transaction) return transaction.error();
  auto ended =
      change("UPDATE batches SET state = ends_as, " + column + " = ? WHERE id = ?", id, now);
  if (ended) ended = drop_lines(id);
  if (ended) ended = transaction->commit();
  if (ended) ended = count();
  if (!ended) return ended.error();
  ::unlink(input_path(id).c_str());
  return find(id);
}

Result<void> BatchStore::drop_lines(std::string_view id) {
  auto lines =
      database_.prepare("DELETE FROM lines WHERE batch = (SELECT seq FROM batches WHERE id = ?)");
  if (!lines) return lines.error();
  auto dropped = lines->bind(0, id).run();
  auto handovers = database_.prepare(
      "DELETE FROM handovers WHERE batch = (SELECT seq FROM batches WHERE id = ?)");
  if (!handovers) return handovers.error();
  return dropped ? handovers->bind(0, id).run() : dropped;
}

Result<void> BatchStore::count() {
  for (std::size_t state = 0; state < kStates; ++state) {
    auto row = database_.prepare("SELECT count(*) FROM batches WHERE state = ?");
    if (!row) return row.error();
    const auto counted = row->bind(0, static_cast<std::int64_t>(state)).step();
    if (!counted) return counted.error();
    gauges_.batches[state].store(row->integer(0), std::memory_order_relaxed);
  }
  auto row = database_.prepare(
      std::string("SELECT coalesce(sum(lines - lines_completed - lines_failed), 0) FROM batches "
                  "WHERE ") +
      kUnfinished);
  if (!row) return row.error();
  const auto counted = row->step();
  if (!counted) return counted.error();
  gauges_.lines_waiting.store(row->integer(0), std::memory_order_relaxed);
  return count_handed_over();
}

Result<void> BatchStore::count_handed_over() {
  auto row = database_.prepare(
      "SELECT count(*) FROM handovers JOIN lines ON lines.batch = handovers.batch AND "
      "lines.handover = handovers.seq AND lines.done = 0");
  if (!row) return row.error();
  const auto counted = row->step();
  if (!counted) return counted.error();
  gauges_.lines_handed_over.store(row->integer(0), std::memory_order_relaxed);
  return {};
}

}  // namespace spillway::batch
