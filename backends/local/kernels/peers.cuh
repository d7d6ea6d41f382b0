// How ranks wait for each other on the device: tickets that only grow, signalled by plain stores
// into each other's memory.
//
// Every exchange of every pass has a ticket of its own, and a signal says "I have come as far as
// this ticket". Tickets wrap; two that are compared lie close together.
#pragma once

#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/kernels.h"

#include <type_traits>

namespace spillway::kernels {

inline constexpr uint64_t kPeerPatience = 10'000'000'000;  // ns

// Of the exchange; the one after it says that it is over, where ranks wait for that. Not before
// earlier kernels are done: the pass is counted by one of them.
__device__ inline uint32_t ticket_of(const PeerGroup& group, uint32_t index) {
  return 2 * (*group.pass * group.exchanges + index);
}

// How long a thread has waited; a rank whose peer is gone must end.
class Patience {
 public:
  __device__ void spend() {
    if (++rounds_ % kRoundsToClock != 0) return;
    uint64_t now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
    if (begin_ == 0) begin_ = now;
    if (now - begin_ > kPeerPatience) __trap();
  }

 private:
  static constexpr uint32_t kRoundsToClock = 1024;
  uint32_t rounds_ = 0;
  uint64_t begin_ = 0;
};

// Where rank `from` signals to `to`.
__device__ inline uint32_t* signal_of(const PeerGroup& group, int to, int from, int slot) {
  return group.signals[to] + from * kPeerSignals + slot;
}

// Everything that this thread has seen done is seen by whoever sees the signal.
__device__ inline void signal(uint32_t* to, uint32_t ticket) {
  asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(to), "r"(ticket) : "memory");
}

__device__ inline void await(const uint32_t* from, uint32_t ticket) {
  Patience patience;
  for (;;) {
    uint32_t seen;
    asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(seen) : "l"(from) : "memory");
    if (static_cast<int32_t>(seen - ticket) >= 0) return;
    patience.spend();
  }
}

// The block of this number meets its like on all ranks. Requires: earlier kernels are done.
__device__ inline void meet_peers(const PeerGroup& group, uint32_t ticket, int slot) {
  const int other = threadIdx.x;
  if (other < group.ranks && other != group.rank) {
    signal(signal_of(group, other, group.rank, slot), ticket);
    await(signal_of(group, group.rank, other, slot), ticket);
  }
  __syncthreads();
}

// Of rows, on a multiprocessor, where a thread has so many vectors of one. All blocks of an
// exchange must run at once, since they wait.
inline constexpr int kPeerRowThreadsMax = 512;
constexpr int peer_blocks_each(int vectors) { return vectors == 1 ? 3 : vectors == 2 ? 2 : 1; }

// A kernel of the template for rows of this width whose blocks each take some of `rows`.
template <int Vectors>
LaunchShape peer_rows_shape(int width, int rows) {
  constexpr int kMultiprocessors = 132;
  constexpr int kBlocks = peer_blocks_each(Vectors) * kMultiprocessors;
  static_assert(kBlocks <= kPeerBlocksMax);
  const int lanes = (width / 8 + Vectors - 1) / Vectors;
  LaunchShape shape;
  shape.grid = dim3(rows < kBlocks ? rows : kBlocks);
  shape.block = dim3((lanes + kWarp - 1) / kWarp * kWarp);
  return shape;
}

// enqueue(std::integral_constant) with the fewest vectors a thread that hold a row.
template <class Enqueue>
int with_peer_vectors(int width, Enqueue enqueue) {
  constexpr int kStep = 8 * kPeerRowThreadsMax;  // Elements of a vector a thread.
  if (width % 8 != 0 || width > 4 * kStep) return cudaErrorInvalidValue;
  if (width <= kStep) return enqueue(std::integral_constant<int, 1>());
  if (width <= 2 * kStep) return enqueue(std::integral_constant<int, 2>());
  return enqueue(std::integral_constant<int, 4>());
}

// Of a peer's memory: never from a cache that may be out of date.
__device__ inline Bf16x8 load_peer(const Bf16x8* address) {
  Bf16x8 v;
  asm volatile("ld.relaxed.sys.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.pair[0]), "=r"(v.pair[1]), "=r"(v.pair[2]), "=r"(v.pair[3])
               : "l"(address)
               : "memory");
  return v;
}

__device__ inline void add(float2 (&sum)[4], const Bf16x8& v) {
#pragma unroll
  for (int p = 0; p < 4; ++p) {
    const float2 a = unpack(v.pair[p]);
    sum[p].x += a.x;
    sum[p].y += a.y;
  }
}

// old + what the ranks have at this place, in their order, rounded once. Two are asked at a time.
__device__ inline Bf16x8 sum_of_ranks(const PeerNorm& args, const Bf16x8& old, int64_t at) {
  float2 sum[4] = {};
  add(sum, old);
  for (int rank = 0; rank < args.group.ranks; rank += 2) {
    const bool both = rank + 1 < args.group.ranks;
    Bf16x8 second = {};
    const Bf16x8 first = load_peer(static_cast<const Bf16x8*>(args.x[rank]) + at);
    if (both) second = load_peer(static_cast<const Bf16x8*>(args.x[rank + 1]) + at);
    add(sum, first);
    add(sum, second);
  }
  Bf16x8 out;
#pragma unroll
  for (int p = 0; p < 4; ++p) out.pair[p] = pack(sum[p].x, sum[p].y);
  return out;
}

}  // namespace spillway::kernels
