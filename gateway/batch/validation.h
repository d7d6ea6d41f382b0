// Looks at every line of a batch's input before the first is run. Lines that are good become rows;
// what is wrong is told with its line.
//
// In turns: `step` on the disk's thread, short, then `judge` on any other; never both at once. A
// validation that failed or was broken off is begun again from the first line.
#pragma once

#include "gateway/batch/batch_store.h"
#include "gateway/batch/line.h"
#include "gateway/store/disk_file.h"

#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace spillway::batch {

class Validation {
 public:
  // On the disk's thread.
  static Result<Validation> begin(BatchStore& store, Batch batch);

  // Writes down some of what was judged, or reads some more; true once all lines are known, and the
  // batch is in_progress or failed.
  Result<bool> step(Seconds now);

  // Looks at what was read: parsing lines of megabytes takes a while.
  void judge();

 private:
  struct JudgedLine {
    LineRef line;
    std::optional<Fault> fault;
  };

  Validation(BatchStore& store, Batch batch, store::DiskFile input)
      : store_(store), batch_(std::move(batch)), input_(std::move(input)) {}

  Result<void> read_more();
  void take(std::string_view text);
  std::optional<Fault> fault_of(std::string_view text, LineRef& line);
  Result<void> write_some();
  Result<bool> insert(const LineRef& line);
  Result<void> finish(Seconds now);
  void blame(Fault fault, int line);

  BatchStore& store_;
  Batch batch_;
  store::DiskFile input_;
  std::string rest_;               // Read, but not looked at.
  std::size_t searched_ = 0;       // So much of it has no end of a line.
  std::uint64_t offset_ = 0;       // Of `rest_` in the input.
  bool at_end_ = false;            // All is read that is to be looked at.
  int line_ = 0;                   // Lines looked at, blank ones included.
  int requests_ = 0;               // Of these, requests.
  std::deque<JudgedLine> judged_;  // Not written yet.
};

}  // namespace spillway::batch
