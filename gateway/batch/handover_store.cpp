#include "gateway/batch/handover_store.h"

#include <algorithm>
#include <utility>

namespace spillway::batch {
namespace {

// Of a line: 0 until somebody sees to it, the handover's number, or this.
constexpr std::int64_t kStays = -1;

const std::string kFree =
    "done = 0 AND handover = 0 AND batch = (SELECT seq FROM batches WHERE id = ?) ";
const std::string kOfIt =
    "handover = (SELECT seq FROM handovers WHERE id = ?1) AND "
    "batch = (SELECT batch FROM handovers WHERE id = ?1) ";

LineRef line_in(const store::Statement& row) {
  return {static_cast<int>(row.integer(0)), static_cast<std::uint64_t>(row.integer(1)),
          static_cast<std::size_t>(row.integer(2)), std::string(row.text(3))};
}

Handover handover_in(const store::Statement& row) {
  Handover handover;
  std::string* const texts[] = {&handover.id,          &handover.target,     &handover.model,
                                &handover.path,        &handover.input_file, &handover.remote,
                                &handover.output_file, &handover.error_file};
  int column = 0;
  for (std::string* text : texts) *text = row.text(column++);
  handover.state = static_cast<Handover::State>(row.integer(column++));
  handover.created = row.integer(column++);
  handover.lines = static_cast<int>(row.integer(column++));
  handover.completed = static_cast<int>(row.integer(column++));
  handover.most = row.integer(column);
  return handover;
}

Result<int> number(Result<store::Statement> row, std::string_view batch, std::int64_t first,
                   std::optional<std::int64_t> second = {}) {
  if (!row) return row.error();
  row->bind(0, batch).bind(1, first);
  if (second) row->bind(2, *second);
  const auto found = row->step();
  if (!found) return found.error();
  return *found ? static_cast<int>(row->integer(0)) : 0;
}

}  // namespace

Result<int> HandoverStore::waiting(std::string_view batch, int after) {
  return number(
      batches_.database_.prepare("SELECT count(*) FROM lines WHERE " + kFree + "AND line > ?"),
      batch, after);
}

Result<int> HandoverStore::first_of_last(std::string_view batch, int after, int lines) {
  return number(batches_.database_.prepare("SELECT line FROM lines WHERE " + kFree +
                                           "AND line > ? ORDER BY line DESC LIMIT 1 OFFSET ?"),
                batch, after, std::int64_t{lines} - 1);
}

Result<std::vector<LineRef>> HandoverStore::from(std::string_view batch, int first, int limit) {
  auto rows = batches_.database_.prepare("SELECT line, offset, bytes, custom_id FROM lines WHERE " +
                                         kFree + "AND line >= ? ORDER BY line LIMIT ?");
  if (!rows) return rows.error();
  rows->bind(0, batch).bind(1, std::int64_t{first}).bind(2, std::int64_t{limit});
  std::vector<LineRef> lines;
  auto read = rows->each([&] { lines.push_back(line_in(*rows)); });
  if (!read) return read.error();
  return lines;
}

Result<void> HandoverStore::mark(std::string_view batch, const std::vector<int>& lines,
                                 std::int64_t as) {
  auto line = batches_.database_.prepare(
      "UPDATE lines SET handover = ? WHERE line = ? AND batch = (SELECT seq FROM batches WHERE "
      "id = ?)");
  if (!line) return line.error();
  for (const int each : lines) {
    const auto marked = line->bind(0, as).bind(1, std::int64_t{each}).bind(2, batch).run();
    if (!marked) return marked;
  }
  return {};
}

Result<void> HandoverStore::keep(std::string_view batch, const std::vector<int>& lines) {
  auto transaction = store::Transaction::begin(batches_.database_);
  if (!transaction) return transaction.error();
  auto marked = mark(batch, lines, kStays);
  return marked ? transaction->commit() : marked;
}

Result<void> HandoverStore::begin(const Handover& handover, const std::vector<int>& lines) {
  auto transaction = store::Transaction::begin(batches_.database_);
  if (!transaction) return transaction.error();
  auto row = batches_.database_.prepare(
      "INSERT INTO handovers(id, batch, target, model, path, input_file, state, created, lines, "
      "most) SELECT ?, seq, ?, ?, ?, ?, 0, ?, ?, ? FROM batches WHERE id = ? RETURNING seq");
  if (!row) return row.error();
  row->bind(0, handover.id).bind(1, handover.target).bind(2, handover.model);
  row->bind(3, handover.path).bind(4, handover.input_file).bind(5, handover.created);
  row->bind(6, static_cast<std::int64_t>(lines.size())).bind(7, handover.most);
  row->bind(8, handover.batch);
  std::int64_t number = 0;
  auto done = row->each([&] { number = row->integer(0); });
  if (done) done = mark(handover.batch, lines, number);
  if (done) done = transaction->commit();
  if (done) done = count();
  if (done) batches_.gauges_.handovers.fetch_add(1, std::memory_order_relaxed);
  return done;
}

Result<void> HandoverStore::running(std::string_view id, std::string_view remote) {
  auto row = batches_.database_.prepare(
      "UPDATE handovers SET state = max(state, 1), remote = ? WHERE id = ?");
  if (!row) return row.error();
  return row->bind(0, remote).bind(1, id).run();
}

Result<void> HandoverStore::progress(std::string_view id, int completed) {
  auto row = batches_.database_.prepare(
      "UPDATE handovers SET completed = max(completed, min(?, lines)) WHERE id = ?");
  if (!row) return row.error();
  return row->bind(0, std::int64_t{completed}).bind(1, id).run();
}

Result<void> HandoverStore::ended(const Handover& handover) {
  auto row = batches_.database_.prepare(
      "UPDATE handovers SET state = 2, output_file = ?, error_file = ? WHERE id = ?");
  if (!row) return row.error();
  return row->bind(0, handover.output_file).bind(1, handover.error_file).bind(2, handover.id).run();
}

Result<std::vector<Handover>> HandoverStore::of_batch(std::string_view batch) {
  auto rows = batches_.database_.prepare(
      "SELECT id, target, model, path, input_file, remote, output_file, error_file, state, "
      "created, lines, completed, most FROM handovers WHERE batch = (SELECT seq FROM batches WHERE "
      "id = ?) ORDER BY seq");
  if (!rows) return rows.error();
  rows->bind(0, batch);
  std::vector<Handover> all;
  auto read = rows->each([&] {
    all.push_back(handover_in(*rows));
    all.back().batch = batch;
  });
  if (!read) return read.error();
  return all;
}

Result<std::vector<LineRef>> HandoverStore::open_lines(std::string_view id) {
  auto rows = batches_.database_.prepare("SELECT line, offset, bytes, custom_id FROM lines WHERE " +
                                         kOfIt + "AND done = 0 ORDER BY line");
  if (!rows) return rows.error();
  rows->bind(0, id);
  std::vector<LineRef> lines;
  auto read = rows->each([&] { lines.push_back(line_in(*rows)); });
  if (!read) return read.error();
  return lines;
}

Result<void> HandoverStore::close(std::string_view id) {
  auto transaction = store::Transaction::begin(batches_.database_);
  if (!transaction) return transaction.error();
  auto returned = batches_.database_.prepare(
      "UPDATE lines SET handover = " + std::to_string(kStays) + " WHERE " + kOfIt + "AND done = 0");
  if (!returned) return returned.error();
  auto done = returned->bind(0, id).run();
  const auto came_back = batches_.database_.changed();
  auto row = batches_.database_.prepare("DELETE FROM handovers WHERE id = ?");
  if (!row) return row.error();
  if (done) done = row->bind(0, id).run();
  if (done) done = transaction->commit();
  if (done) done = count();
  if (done)
    batches_.gauges_.lines_handed_back.fetch_add(static_cast<std::uint64_t>(came_back),
                                                 std::memory_order_relaxed);
  return done;
}

Result<void> HandoverStore::count() { return batches_.count_handed_over(); }

}  // namespace spillway::batch
