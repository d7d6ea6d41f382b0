// What of a batch is at providers, in the batches' own database: so a line is either to be asked
// here, or handed over, or done, whenever the process is killed.
//
// On the disk's thread, as the BatchStore whose database it shares, and which outlives it.
#pragma once

#include "gateway/batch/batch_store.h"
#include "gateway/batch/handover.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway::batch {

class HandoverStore {
 public:
  explicit HandoverStore(BatchStore& batches) : batches_(batches) {}

  // How many lines behind `after` nobody has been asked for and may be handed over.
  Result<int> waiting(std::string_view batch, int after);
  // Of these the last `lines`: the number of the first of them, and then what follows, at most so
  // many.
  Result<int> first_of_last(std::string_view batch, int after, int lines);
  Result<std::vector<LineRef>> from(std::string_view batch, int first, int limit);

  // These lines stay here, whatever comes.
  Result<void> keep(std::string_view batch, const std::vector<int>& lines);

  // From now on these lines are at the provider. All or nothing.
  Result<void> begin(const Handover& handover, const std::vector<int>& lines);
  Result<void> running(std::string_view id, std::string_view remote);
  Result<void> progress(std::string_view id, int completed);
  Result<void> ended(const Handover& handover);

  Result<std::vector<Handover>> of_batch(std::string_view batch);
  // Its lines that have no result yet.
  Result<std::vector<LineRef>> open_lines(std::string_view id);

  // It is over: what has no result by now is asked for here.
  Result<void> close(std::string_view id);

 private:
  Result<void> mark(std::string_view batch, const std::vector<int>& lines, std::int64_t as);
  Result<void> count();

  BatchStore& batches_;
};

}  // namespace spillway::batch
