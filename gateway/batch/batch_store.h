// The batches of all tenants: their state in a database, each line of theirs a row, inputs and
// results as files in a folder until they end.
//
// On the disk's thread, but for `gauges`. A batch's results are as durable as its progress: a line
// counts as done in the transaction that follows the result's sync, and what a file has beyond that
// is cut off before anything is added. So a line is in the results once, however often the process
// is killed.
#pragma once

#include "gateway/batch/batch.h"
#include "gateway/batch/batch_json.h"
#include "gateway/store/database.h"
#include "gateway/store/directory.h"

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::batch {

// For metrics; any thread.
struct Gauges {
  std::array<std::atomic<std::int64_t>, kStates> batches{};  // By state.
  std::atomic<std::int64_t> lines_waiting{0};                // Of those that have not ended.
  std::atomic<std::uint64_t> lines_completed{0};             // Since the start.
  std::atomic<std::uint64_t> lines_failed{0};
  std::atomic<std::int64_t> lines_handed_over{0};   // That are at providers.
  std::atomic<std::uint64_t> handovers{0};          // Since the start,
  std::atomic<std::uint64_t> lines_handed_back{0};  // …and the lines that came back unanswered.
};

class BatchStore {
 public:
  static Result<std::unique_ptr<BatchStore>> open(const store::Directory& directory);

  // `batch` says who, what and when; its input is the file at `path`, which may be deleted later.
  Result<Batch> create(Batch batch, const std::string& path);

  Result<Batch> find(std::string_view tenant, std::string_view id);
  Result<Batch> find(std::string_view id);
  Result<BatchPage> list(std::string_view tenant, int limit, std::string_view after);

  // That have not ended, in the order of their creation.
  Result<std::vector<Batch>> unfinished();

  // How many of the tenant's have not ended; whether one of these was made of that file.
  Result<int> pending(std::string_view tenant);
  Result<bool> uses(std::string_view input_file);

  // The batch, cancelling from now on; invalid_request once its end has begun.
  Result<Batch> cancel(std::string_view tenant, std::string_view id, Seconds now);

  // Those of its lines that are not done are about to be asked for, after a kill perhaps once more:
  // how often that was, from 1.
  Result<int> begin_round(std::string_view id);
  // The next lines behind `after` that are not done, at most so many.
  Result<std::vector<LineRef>> undone(std::string_view id, int after, int limit);
  Result<std::string> read(std::string_view id, const LineRef& line);

  // Adds results to the files and counts their lines as done. All or nothing.
  Result<void> record(std::string_view id, const std::vector<LineResult>& results);

  // What its files have beyond the results that count is cut off.
  Result<void> trim(const Batch& batch);

  // The lines' end has come, in one of three ways; a batch that is being cancelled stays so.
  Result<Batch> begin_end(std::string_view id, State ends_as, Seconds now);
  // Its files are where clients find them. Lines and input are gone from here.
  Result<Batch> end(std::string_view id, Seconds now);

  std::string output_path(std::string_view id) const { return path_of(id, ".output"); }
  std::string error_path(std::string_view id) const { return path_of(id, ".error"); }
  const Gauges& gauges() const { return gauges_; }

 private:
  friend class Validation;
  friend class HandoverStore;

  BatchStore(store::Database database, std::string folder)
      : database_(std::move(database)), folder_(std::move(folder)) {}

  std::string path_of(std::string_view id, std::string_view ending) const {
    return folder_ + "/" + std::string(id) + std::string(ending);
  }
  std::string input_path(std::string_view id) const { return path_of(id, ".input"); }
  Result<void> sweep();
  Result<void> insert(const Batch& batch);
  Result<void> count();
  Result<void> count_handed_over();
  Result<void> drop_lines(std::string_view id);
  Result<void> change(std::string_view sql, std::string_view id, std::int64_t value);
  Result<void> mark_done(const Batch& batch, const std::vector<LineResult>& results,
                         std::uint64_t output_bytes, std::uint64_t error_bytes);

  store::Database database_;
  const std::string folder_;
  Gauges gauges_;
};

}  // namespace spillway::batch
