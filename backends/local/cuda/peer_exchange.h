// The sums of a pass over the GPUs that share its layers: what a rank has that the others reach,
// and the exchanges enqueued on its stream.
//
// The rank's own thread only. Until `join`, a rank is alone and sums over itself, so that kernels
// can be tried out before anyone waits for anyone. All ranks enqueue the same exchanges in the
// same order. Functions with an int return a status of CUDA.
#pragma once

#include "backends/local/cuda/decoder_shape.h"
#include "backends/local/cuda/device.h"
#include "backends/local/kernels/peer_parts.h"

#include <memory>
#include <vector>

namespace spillway::local::cuda {

class PeerExchange {
 public:
  // Memory of a rank's decoder that the others write to.
  struct Outlets {
    std::int32_t* last_token = nullptr;
    float* logits = nullptr;
    void* normed = nullptr;       // Where norms of sums go, as bf16…
    void* quantized = nullptr;    // …or as E4M3…
    float* row_scales = nullptr;  // …with these.
  };

  // What the others write to and read from.
  struct Addresses {
    std::uint32_t* signals = nullptr;
    void* inbox = nullptr;
    void* products[2] = {};
    Outlets outlets;
  };

  struct Limits {
    int rows_max = 0;  // In a pass.
    // Of all rows: from so many on, and with more than two ranks, each norms a part of the rows for
    // all. Meeting twice takes longer than fetching less saves of fewer.
    int parted_numbers_min = 0;
  };

  // Takes memory.
  static Result<std::unique_ptr<PeerExchange>> create(const DecoderShape& shape, Limits limits,
                                                      const Outlets& outlets, CUstream_st* stream);

  const Addresses& own() const { return own_; }

  // Of all ranks, in their order, this one among them. Waits for the device; the others must have
  // joined before anything is enqueued. Requires: they can reach each other's memory.
  Result<void> join(std::vector<Addresses> all);

  // Where the ranks' logits meet: rank 0's.
  float* logits() const { return all_.front().outlets.logits; }

  void begin_pass(int rows);

  // Where this rank's product for the next sum goes: bf16 [rows, width], or fp32 for sum_few.
  void* product() const { return own_.products[index_ % 2]; }
  float* few_product() const { return few_.get<float>(); }

  // hidden += the ranks' few products, or sum = them. Requires: at most kSkinnyTokensMax rows.
  int sum_few(void* hidden, int rows) { return exchange_few(hidden, rows, false); }
  int store_few(void* sum, int rows) { return exchange_few(sum, rows, true); }

  // A norm of hidden after the ranks' products are added to it, into `normed`, or into `quantized`
  // with scales; `norm` has no x. In parts, only a row's own rank has it in hidden afterwards.
  int norm_sum(const kernels::RmsNorm& norm);

  // hidden += the sum of the ranks' products, normed; `norm` has no x and no scales.
  int add_normed_sum(const kernels::AddNormed& norm);

  // Last in every pass: what all ranks have enqueued is done.
  int meet();

  // After a pass, so many words of rank 0's last_token go to all.
  int hand_out_tokens(int count);

 private:
  PeerExchange(const DecoderShape& shape, Limits limits, CUstream_st* stream);
  Result<void> allocate();
  kernels::PeerGroup group() const;
  kernels::PeerNorm next_norm();
  int norm_parts(const kernels::PeerNorm& norm);
  int exchange_few(void* out, int rows, bool stores);

  const Share share_;
  const int width_;
  const Limits limits_;
  const bool may_part_;
  const std::uint32_t exchanges_;
  CUstream_st* const stream_;
  DeviceMemory signals_;
  DeviceMemory inbox_;
  DeviceMemory products_;
  DeviceMemory few_;
  DeviceMemory pass_;
  Addresses own_;
  std::vector<Addresses> all_;  // Itself alone until it has joined.
  std::uint32_t index_ = 0;     // Of the next exchange.
  bool in_parts_ = false;       // The norms of this pass.
};

}  // namespace spillway::local::cuda
