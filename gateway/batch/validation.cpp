#include "gateway/batch/validation.h"

#include <algorithm>
#include <unistd.h>
#include <utility>

namespace spillway::batch {
namespace {

constexpr std::size_t kStepBytes = 1 << 20;
constexpr int kStepRows = 1'000;
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
  if (judged_.empty() && !at_end_) {
    const auto read = read_more();
    if (!read) return read.error();
    return false;
  }
  auto transaction = store::Transaction::begin(store_.database_);
  if (!transaction) return transaction.error();
  auto written = write_some();
  const bool over = judged_.empty() && at_end_ && rest_.empty();
  if (written && over) written = finish(now);
  if (written) written = transaction->commit();
  if (written && over) written = store_.count();
  if (!written) return written.error();
  return over;
}

Result<void> Validation::read_more() {
  const auto block = input_.read_at(offset_ + rest_.size(), kStepBytes);
  if (!block) return block.error();
  rest_ += *block;
  at_end_ = block->size() < kStepBytes;
  return {};
}

void Validation::judge() {
  std::size_t at = 0;
  while (at < rest_.size() && requests_ <= kLinesMax) {
    const auto end = rest_.find('\n', std::max(at, searched_));
    if (end == std::string::npos && !at_end_) break;
    const std::string_view text = std::string_view(rest_).substr(at, end - at);
    take(text);
    at += text.size() + 1;
    offset_ += text.size() + 1;
  }
  rest_.erase(0, at);
  searched_ = rest_.size();
  const bool endless = rest_.size() > kLineBytesMax;
  if (endless) judged_.push_back({{line_ + 1, offset_, 0, ""}, kTooLarge});
  at_end_ = at_end_ || endless || requests_ > kLinesMax;
  if (at_end_) rest_.clear();
}

void Validation::take(std::string_view text) {
  ++line_;
  if (is_blank(text)) return;
  ++requests_;
  if (requests_ > kLinesMax) return;
  LineRef line{line_, offset_, text.size(), ""};
  auto fault = fault_of(text, line);
  judged_.push_back({std::move(line), std::move(fault)});
}

std::optional<Fault> Validation::fault_of(std::string_view text, LineRef& line) {
  if (text.size() > kLineBytesMax) return kTooLarge;
  Judged judged = batch::judge(text, batch_.endpoint);
  if (judged.fault) return judged.fault;
  line.custom_id = std::move(judged.line.custom_id);
  if (batch_.model.empty()) batch_.model = judged.line.model;
  if (batch_.model == judged.line.model) return std::nullopt;
  return Fault{"mismatched_model",
               "all lines of a batch ask for one model, here '" + batch_.model + "'", "body.model",
               0};
}

Result<void> Validation::write_some() {
  for (int row = 0; row < kStepRows && !judged_.empty(); ++row) {
    JudgedLine& judged = judged_.front();
    if (!judged.fault) {
      const auto fresh = insert(judged.line);
      if (!fresh) return fresh.error();
      if (!*fresh) {
        judged.fault =
            Fault{"duplicate_custom_id", "another line has this custom_id", "custom_id", 0};
      }
    }
    if (judged.fault) blame(std::move(*judged.fault), judged.line.number);
    judged_.pop_front();
  }
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
