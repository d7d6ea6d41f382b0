#include "gateway/batch/validation.h"

#include <algorithm>
#include <unistd.h>
#include <utility>

namespace spillway::batch {
namespace {

constexpr std::size_t kStepBytes = 1 << 20;
constexpr std::size_t kFaultsMax = 100;  // More are not told.
const Fault kTooLarge{"line_too_large", "a line may have 32 MiB", "", 0};

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r") == text.npos; }

}  // namespace

Result<Validation> Validation::begin(BatchStore& store, Batch batch) {
  auto input = store::DiskFile::read(store.input_path(batch.id));
  if (!input) return input.error();
  auto forgotten = store.database_.prepare(
      "DELETE FROM lines WHERE batch = (SELECT seq FROM batches WHERE id = ?)");
  if (!forgotten) return forgotten.error();
  const auto done = forgotten->bind(0, batch.id).run();
  if (!done) return done.error();
  batch.model.clear();
  return Validation(store, std::move(batch), std::move(*input));
}

Result<bool> Validation::step(Seconds now) {
  auto transaction = store::Transaction::begin(store_.database_);
  if (!transaction) return transaction.error();
  const auto more = read_more();
  if (!more) return more.error();
  auto taken = take_lines(!*more);
  const bool endless = rest_.size() > kLineBytesMax;
  if (endless) blame(kTooLarge, line_ + 1);
  const bool over = !*more || endless;
  if (taken && over) taken = finish(now);
  if (taken) taken = transaction->commit();
  if (taken && over) taken = store_.count();
  if (!taken) return taken.error();
  return over;
}

// False at the end of the input.
Result<bool> Validation::read_more() {
  const auto block = input_.read_at(offset_ + rest_.size(), kStepBytes);
  if (!block) return block.error();
  rest_ += *block;
  return block->size() == kStepBytes;
}

Result<void> Validation::take_lines(bool at_end) {
  std::size_t at = 0;
  while (at < rest_.size()) {
    const auto end = rest_.find('\n', at);
    if (end == std::string::npos && !at_end) break;
    const std::string_view text = std::string_view(rest_).substr(at, end - at);
    auto taken = take(text);
    if (!taken) return taken;
    at += text.size() + 1;
    offset_ += text.size() + 1;
  }
  rest_.erase(0, at);
  return {};
}

Result<void> Validation::take(std::string_view text) {
  ++line_;
  if (is_blank(text)) return {};
  ++requests_;
  if (requests_ > kLinesMax) return {};
  Judged judged = judge(text, batch_.endpoint);
  if (text.size() > kLineBytesMax) judged.fault = kTooLarge;
  if (!judged.fault) {
    if (batch_.model.empty()) batch_.model = judged.line.model;
    if (batch_.model != judged.line.model) {
      judged.fault = Fault{"mismatched_model",
                           "all lines of a batch ask for one model, here '" + batch_.model + "'",
                           "body.model", 0};
    }
  }
  if (!judged.fault) {
    const auto fresh = insert({line_, offset_, text.size(), std::move(judged.line.custom_id)});
    if (!fresh) return fresh.error();
    if (!*fresh) {
      judged.fault =
          Fault{"duplicate_custom_id", "another line has this custom_id", "custom_id", 0};
    }
  }
  if (judged.fault) blame(std::move(*judged.fault), line_);
  return {};
}

// False if a line with its custom_id is there.
Result<bool> Validation::insert(const LineRef& line) {
  auto row = store_.database_.prepare(
      "INSERT OR IGNORE INTO lines(batch, line, offset, bytes, custom_id, done) "
      "SELECT seq, ?, ?, ?, ?, 0 FROM batches WHERE id = ?");
  if (!row) return row.error();
  row->bind(0, std::int64_t{line.number}).bind(1, static_cast<std::int64_t>(line.offset));
  row->bind(2, static_cast<std::int64_t>(line.bytes)).bind(3, line.custom_id).bind(4, batch_.id);
  const auto inserted = row->run();
  if (!inserted) return inserted.error();
  return store_.database_.changed() == 1;
}

void Validation::blame(Fault fault, int line) {
  if (batch_.faults.size() >= kFaultsMax) return;
  fault.line = line;
  batch_.faults.push_back(std::move(fault));
}

// A batch that was cancelled meanwhile stays so.
Result<void> Validation::finish(Seconds now) {
  if (requests_ == 0 && batch_.faults.empty())
    blame({"empty_file", "the input has no line", "", 0}, 0);
  if (requests_ > kLinesMax) blame({"too_many_requests", "a batch may have 50000 lines", "", 0}, 0);
  const bool good = batch_.faults.empty();
  auto row = store_.database_.prepare(
      good ? "UPDATE batches SET lines = ?1, model = ?2, faults = '', state = 1, in_progress = ?3 "
             "WHERE id = ?4 AND state = 0"
           : "UPDATE batches SET lines = ?1, model = ?2, faults = ?5, state = 4, failed = ?3 "
             "WHERE id = ?4 AND state = 0");
  if (!row) return row.error();
  row->bind(0, std::int64_t{std::min(requests_, kLinesMax)}).bind(1, batch_.model).bind(2, now);
  row->bind(3, batch_.id);
  if (!good) row->bind(4, faults_text(batch_.faults));
  auto written = row->run();
  if (good || !written) return written;
  ::unlink(store_.input_path(batch_.id).c_str());
  return store_.drop_lines(batch_.id);
}

}  // namespace spillway::batch
