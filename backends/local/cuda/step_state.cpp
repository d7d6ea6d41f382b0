#include "backends/local/cuda/step_state.h"

#include <algorithm>
#include <cstring>
#include <cuda_runtime_api.h>

namespace spillway::local::cuda {

StepState::StepState(const StepLimits& limits, CUstream_st* stream)
    : limits_(limits), stream_(stream) {
  std::array<std::int64_t, field_count> sizes;
  sizes.fill(limits.logit_rows_max);
  sizes[ids] = sizes[positions] = sizes[row_sequence] = limits.rows_max;
  sizes[chunk_start] = limits.sequences_max + 1;
  sizes[chunk_position] = sizes[chunk_sequence] = limits.sequences_max;
  sizes[seed] = 2 * std::int64_t{limits.logit_rows_max};
  sizes[last_token] = 2 * std::int64_t{limits.sequences_max};
  sizes[page_table] = std::int64_t{limits.sequences_max} * limits.pages_max;
  for (int field = 0; field < field_count; ++field) {
    const std::int64_t even =
        (sizes[static_cast<std::size_t>(field)] + 3) / 4 * 4;  // Keeps 64-bit words aligned.
    offsets_[static_cast<std::size_t>(field) + 1] =
        offsets_[static_cast<std::size_t>(field)] + even;
  }
}

Result<void> StepState::allocate() {
  const auto words = static_cast<std::size_t>(offsets_[field_count]);
  Allocations allocations;
  allocations.zeroed(words_, words * sizeof(std::int32_t));
  for (PinnedMemory& buffer : buffers_)
    allocations.pinned(buffer, kPatchesMax * sizeof(kernels::Patch));
  if (auto result = allocations.result(); !result) return result;
  mirror_.assign(words, 0);
  FirstError errors;
  for (CUevent_st*& event : read_) {
    errors.note(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  }
  return errors.result();
}

Result<std::unique_ptr<StepState>> StepState::create(const StepLimits& limits,
                                                     CUstream_st* stream) {
  std::unique_ptr<StepState> state(new StepState(limits, stream));
  if (auto allocated = state->allocate(); !allocated) return allocated.error();
  return state;
}

StepState::~StepState() {
  for (CUevent_st* event : read_) cudaEventDestroy(event);
}

void StepState::set(Field field, int index, std::int32_t value) {
  const std::int64_t at = offsets_[field] + index;
  std::int32_t& known = mirror_[static_cast<std::size_t>(at)];
  if (known == value) return;
  known = value;
  pending_.push_back({static_cast<std::int32_t>(at), value});
}

void StepState::set_pages(int sequence, std::span<const std::int32_t> pages) {
  const int begin = sequence * limits_.pages_max;
  const auto known = mirror_.begin() + offsets_[page_table] + begin;
  if (std::equal(pages.begin(), pages.end(), known)) return;  // As good as always, and quick.
  for (std::size_t i = 0; i < pages.size(); ++i) {
    set(page_table, begin + static_cast<int>(i), pages[i]);
  }
}

int StepState::send(std::size_t first, int count) {
  const auto buffer = static_cast<std::size_t>(next_buffer_);
  next_buffer_ = (next_buffer_ + 1) % kBuffers;
  int error = cudaEventSynchronize(read_[buffer]);
  if (error != 0) return error;
  auto* patches = buffers_[buffer].get<kernels::Patch>();
  std::memcpy(patches, pending_.data() + first,
              static_cast<std::size_t>(count) * sizeof(kernels::Patch));
  error = kernels::spillway_patch(words_.get<std::int32_t>(), patches, count, stream_);
  return error != 0 ? error : static_cast<int>(cudaEventRecord(read_[buffer], stream_));
}

// A word that was set twice has two patches, whose order within a launch is open: only the last may
// go out.
int StepState::flush() {
  std::stable_sort(pending_.begin(), pending_.end(),
                   [](const auto& a, const auto& b) { return a.at < b.at; });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    const bool last = i + 1 == pending_.size() || pending_[i + 1].at != pending_[i].at;
    if (last) pending_[kept++] = pending_[i];
  }
  int error = 0;
  for (std::size_t first = 0; first < kept && error == 0; first += kPatchesMax) {
    error = send(first, static_cast<int>(std::min<std::size_t>(kPatchesMax, kept - first)));
  }
  pending_.clear();
  return error;
}

void StepState::advanced(int rows) {
  const auto first = static_cast<std::size_t>(offsets_[positions]);
  for (std::size_t row = first; row < first + static_cast<std::size_t>(rows); ++row) {
    if (mirror_[row] >= 0) ++mirror_[row];
  }
}

}  // namespace spillway::local::cuda
