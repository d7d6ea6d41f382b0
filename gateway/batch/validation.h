// Looks at every line of a batch's input before the first is run, in steps between which others use
// the disk's thread. Lines that are good become rows; what is wrong is told with its line.
#pragma once

#include "gateway/batch/batch_store.h"
#include "gateway/batch/line.h"
#include "gateway/store/disk_file.h"

#include <optional>
#include <string>
#include <vector>

namespace spillway::batch {

// On the disk's thread. A validation that failed or was broken off is begun again from the first
// line.
class Validation {
 public:
  static Result<Validation> begin(BatchStore& store, Batch batch);

  // Looks at some more; true once all lines are known, and the batch is in_progress or failed.
  Result<bool> step(Seconds now);

 private:
  Validation(BatchStore& store, Batch batch, store::DiskFile input)
      : store_(store), batch_(std::move(batch)), input_(std::move(input)) {}

  Result<bool> read_more();
  Result<void> take_lines(bool at_end);
  Result<void> take(std::string_view text);
  Result<bool> insert(const LineRef& line);
  Result<void> finish(Seconds now);
  void blame(Fault fault, int line);

  BatchStore& store_;
  Batch batch_;
  store::DiskFile input_;
  std::string rest_;          // Read, but not looked at.
  std::uint64_t offset_ = 0;  // Of `rest_` in the input.
  int line_ = 0;              // Lines looked at, blank ones included.
  int requests_ = 0;          // Of these, requests.
};

}  // namespace spillway::batch
