// Sums over the GPUs that share a layer, through each other's memory.
//
// Few tokens: every rank writes what it has into the inboxes of all, each word beside the ticket
// that says it is new, and adds up what has arrived in its own: one way over the link. Many: the
// ranks meet, then each reads the rows of all others and norms the sum on the way, so that the
// exchange takes the place of a kernel that had to be there.
#include "backends/local/kernels/fp8_rows.cuh"
#include "backends/local/kernels/norm_rows.cuh"
#include "backends/local/kernels/peers.cuh"

namespace spillway::kernels {
namespace {

constexpr int kFewThreads = 256;
// Half of it comes whole: a word that has its ticket is the word that was sent with it.
struct alignas(16) Packet {
  uint32_t word[4];  // value, ticket, value, ticket
};

__device__ void send(Packet* to, float2 v, uint32_t ticket) {
  asm volatile("st.volatile.global.v4.u32 [%0], {%1, %2, %3, %2};" ::"l"(to),
               "r"(__float_as_uint(v.x)), "r"(ticket), "r"(__float_as_uint(v.y))
               : "memory");
}

__device__ float2 receive(const Packet* from, uint32_t ticket) {
  Patience patience;
  for (;;) {
    Packet p;
    asm volatile("ld.volatile.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(p.word[0]), "=r"(p.word[1]), "=r"(p.word[2]), "=r"(p.word[3])
                 : "l"(from)
                 : "memory");
    if (p.word[1] == ticket && p.word[3] == ticket) {
      return make_float2(__uint_as_float(p.word[0]), __uint_as_float(p.word[2]));
    }
    patience.spend();
  }
}

__global__ void __launch_bounds__(kFewThreads) sum_few(PeerSumFew args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const PeerGroup& group = args.group;
  const int at = blockIdx.x * kFewThreads + threadIdx.x;
  if (at >= args.tokens * args.width / 2) return;
  const uint32_t ticket = ticket_of(group, args.index);
  const int64_t each = int64_t{kSkinnyTokensMax} * args.width / 2;
  const int64_t first = int64_t{args.index % 2} * group.ranks * each + at;
  const float2 mine = reinterpret_cast<const float2*>(args.x)[at];
  for (int to = 0; to < group.ranks; ++to) {
    if (to == group.rank) continue;
    send(static_cast<Packet*>(args.inbox[to]) + first + group.rank * each, mine, ticket);
  }
  auto* out = static_cast<uint32_t*>(args.out) + at;
  float2 sum = args.stores ? float2{} : unpack(*out);
  const auto* inbox = static_cast<const Packet*>(args.inbox[group.rank]) + first;
  for (int from = 0; from < group.ranks; ++from) {
    const float2 v = from == group.rank ? mine : receive(inbox + from * each, ticket);
    sum.x += v.x;
    sum.y += v.y;
  }
  *out = pack(sum.x, sum.y);
}

// Each block takes every gridDim.x-th row; a thread holds `Vectors` vectors of 8 of it. The sum is
// added to the residual and what comes of that is normed, or, with `AddsNormed`, the other way
// round.
template <int Vectors, bool AddsNormed>
__global__ void __launch_bounds__(kPeerRowThreadsMax, peer_blocks_each(Vectors))
    norm_sum(PeerNorm args) {
  let_next_kernel_start();
  const int vectors = args.width / 8;
  Bf16x8 w[Vectors];
  load_weights(args.weight, vectors, w);
  wait_for_earlier_kernels();
  meet_peers(args.group, ticket_of(args.group, args.index), blockIdx.x);
  for (int out_row = blockIdx.x; out_row < args.rows; out_row += gridDim.x) {
    const int row = args.row_index ? args.row_index[out_row] : out_row;
    const int64_t begin = int64_t{row} * vectors;
    auto* residual = static_cast<Bf16x8*>(args.residual) + begin;
    Bf16x8 v[Vectors];
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < Vectors; ++i) {
      const int at = threadIdx.x + i * blockDim.x;
      if (at >= vectors) continue;
      v[i] = sum_of_ranks(args, AddsNormed ? Bf16x8{} : residual[at], begin + at);
      if (!AddsNormed) residual[at] = v[i];
      sum += sum_of_squares(v[i]);
    }
    const float scale = rsqrtf(block_sum(sum) / args.width + args.epsilon);
    const int64_t to = int64_t{out_row} * vectors;
#pragma unroll
    for (int i = 0; i < Vectors; ++i) {
      const int at = threadIdx.x + i * blockDim.x;
      if (at >= vectors) continue;
      v[i] = scaled(v[i], scale, w[i]);
      if (AddsNormed) {
        add_residual(v[i], residual + at);
      } else if (!args.scales) {
        static_cast<Bf16x8*>(args.out)[to + at] = v[i];
      }
    }
    if (!AddsNormed && args.scales) {
      store_e4m3_row(v, vectors, static_cast<E4m3x8*>(args.out) + to, args.scales + out_row);
    }
    __syncthreads();  // The block's sums are read before the next row's are written.
  }
}

__global__ void __launch_bounds__(kWarp) meet(PeerGroup group, uint32_t index) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  meet_peers(group, ticket_of(group, index), 0);
  if (threadIdx.x == 0) *group.pass += 1;
}

__global__ void __launch_bounds__(kFewThreads) hand_out(PeerWords args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const PeerGroup& group = args.group;
  const uint32_t ticket = ticket_of(group, 0);
  if (group.rank != 0) {
    if (threadIdx.x == 0) await(signal_of(group, group.rank, 0, kPeerBlocksMax), ticket);
    return;
  }
  for (int to = 1; to < group.ranks; ++to) {
    for (int i = threadIdx.x; i < args.count; i += kFewThreads)
      args.words[to][i] = args.words[0][i];
  }
  __threadfence_system();
  __syncthreads();
  const int to = threadIdx.x;
  if (to > 0 && to < group.ranks) signal(signal_of(group, to, 0, kPeerBlocksMax), ticket);
}

template <int Vectors>
int enqueue_with(const PeerNorm& args, Stream stream) {
  const LaunchShape shape = peer_rows_shape<Vectors>(args.width, args.rows);
  return args.out ? launch(norm_sum<Vectors, false>, shape, stream, args)
                  : launch(norm_sum<Vectors, true>, shape, stream, args);
}

int enqueue(const PeerNorm& args, Stream stream) {
  return with_peer_vectors(args.width,
                           [&](auto vectors) { return enqueue_with<vectors>(args, stream); });
}

}  // namespace

extern "C" int spillway_peer_sum_few(const PeerSumFew* args, Stream stream) {
  if (args->tokens > kSkinnyTokensMax || args->width % 2 != 0) return cudaErrorInvalidValue;
  if (args->tokens == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3((args->tokens * args->width / 2 + kFewThreads - 1) / kFewThreads);
  shape.block = dim3(kFewThreads);
  return launch(sum_few, shape, stream, *args);
}

extern "C" int spillway_peer_norm(const PeerNorm* args, Stream stream) {
  if (args->rows == 0) return cudaSuccess;
  return enqueue(*args, stream);
}

extern "C" int spillway_peer_meet(const PeerGroup* group, std::uint32_t index, Stream stream) {
  LaunchShape shape;
  shape.grid = dim3(1);
  shape.block = dim3(kWarp);
  return launch(meet, shape, stream, *group, index);
}

extern "C" int spillway_peer_hand_out(const PeerWords* args, Stream stream) {
  LaunchShape shape;
  shape.grid = dim3(1);
  shape.block = dim3(kFewThreads);
  return launch(hand_out, shape, stream, *args);
}

}  // namespace spillway::kernels
