// Where every token of a step stands: one array of words on the device, changed by the host through
// patches.
//
// Engine thread only, on one stream. The host keeps a copy and sends only what differs, so the
// decode step that follows another of the same sequences sends next to nothing: positions advance
// on the device, and the token that was drawn there is named by its slot. Addresses never change,
// as captured graphs need it.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/cuda/device.h"
#include "backends/local/kernels/kernels.h"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace spillway::local::cuda {

struct StepLimits {
  int rows_max = 0;       // Tokens in a step.
  int sequences_max = 0;  // Page table rows.
  int pages_max = 0;      // Of one sequence.
  int logit_rows_max = 0;
};

class StepState {
 public:
  enum Field {
    ids,             // [rows] a token, or ~slot
    positions,       // [rows]; -1: padding
    row_sequence,    // [rows] page table row
    chunk_start,     // [sequences + 1] first row of a prompt chunk, counted from the first chunk's
    chunk_position,  // [sequences] position of that row
    chunk_sequence,  // [sequences] page table row
    logit_row,       // [logit rows] which row
    counter,         // [logit rows] and below: see kernels::Sample
    slot,
    top_k,
    temperature,  // float bits
    top_p,        // float bits
    seed,         // two words each
    wanted,       // [logit rows] and below: see kernels::ScoreRows
    given,
    last_token,  // [slots]; written by the sampler only
    page_table,  // [sequences, pages_max]
    field_count
  };

  static Result<std::unique_ptr<StepState>> create(const StepLimits& limits, CUstream_st* stream);
  ~StepState();

  const StepLimits& limits() const { return limits_; }
  std::int32_t* device(Field field) const { return words_.get<std::int32_t>() + offsets_[field]; }

  void set(Field field, int index, std::int32_t value);
  // The first pages of a page table row.
  void set_pages(int sequence, std::span<const std::int32_t> pages);

  // Also sends, with the next flush, what the other is about to: the state of one rank follows that
  // of another, and nothing is set here.
  void follow(const StepState& other) { pending_ = other.pending_; }

  // Enqueues what was set since the last flush. Status of CUDA.
  int flush();

  // Takes note that spillway_advance was enqueued for the first `rows` rows.
  void advanced(int rows);

 private:
  static constexpr int kBuffers = 4;  // Flushes under way before one has to wait.
  static constexpr int kPatchesMax = 1 << 15;

  StepState(const StepLimits& limits, CUstream_st* stream);
  Result<void> allocate();
  int send(std::size_t first, int count);

  const StepLimits limits_;
  CUstream_st* const stream_;
  std::array<std::int64_t, field_count + 1> offsets_{};
  DeviceMemory words_;
  std::vector<std::int32_t> mirror_;
  std::vector<kernels::Patch> pending_;
  std::array<PinnedMemory, kBuffers> buffers_;
  std::array<CUevent_st*, kBuffers> read_{};  // The device has read the buffer.
  int next_buffer_ = 0;
};

}  // namespace spillway::local::cuda
