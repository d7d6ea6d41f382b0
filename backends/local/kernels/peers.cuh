// How ranks wait for each other on the device: tickets that only grow, signalled by plain stores
// into each other's memory.
//
// Every exchange of every pass has a ticket of its own, and a signal says "I have come as far as
// this ticket". Tickets wrap; two that are compared lie close together.
#pragma once

#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {

inline constexpr uint64_t kPeerPatience = 10'000'000'000;  // ns

// Not before earlier kernels are done: the pass is counted by one of them.
__device__ inline uint32_t ticket_of(const PeerGroup& group, uint32_t index) {
  return *group.pass * group.exchanges + index;
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

// Of a peer's memory: never from a cache that may be out of date.
__device__ inline Bf16x8 load_peer(const Bf16x8* address) {
  Bf16x8 v;
  asm volatile("ld.relaxed.sys.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.pair[0]), "=r"(v.pair[1]), "=r"(v.pair[2]), "=r"(v.pair[3])
               : "l"(address)
               : "memory");
  return v;
}

}  // namespace spillway::kernels
