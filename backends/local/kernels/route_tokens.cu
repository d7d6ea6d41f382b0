// Which experts each token takes, one warp a token; and the weighted sum of what they answer.
#include "backends/local/kernels/device.cuh"
#include "backends/local/kernels/expert_kernels.h"

namespace spillway::kernels {
namespace {

constexpr int kWarps = 4;
constexpr int kOfLane = kRoutedExpertsMax / kWarp;  // Experts that a lane holds, a warp apart.

// The largest value of a warp and the lowest index that has it.
struct Best {
  float value;
  int index;
};

__device__ Best best_of_warp(Best best) {
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    const float value = __shfl_xor_sync(kAllLanes, best.value, offset);
    const int index = __shfl_xor_sync(kAllLanes, best.index, offset);
    if (value > best.value || (value == best.value && index < best.index)) best = {value, index};
  }
  return best;
}

// A warp's token: the score of each expert, and what it is chosen by.
class Router {
 public:
  __device__ Router(const RouteTokens& args, int row) : args_(args), row_(row) {
    load();
    score();
    if (args.groups_taken < args.groups) leave_best_groups();
  }

  // Slot j and its weight are lane j's.
  __device__ void choose(int& expert, float& weight) {
    const int lane = threadIdx.x % kWarp;
    float sum = 0.0f;
    for (int slot = 0; slot < args_.chosen; ++slot) {
      const int best = take_best(0, args_.experts).index;
      const float value = score_of(best);
      sum += value;
      if (lane == slot) {
        expert = best;
        weight = value;
      }
    }
    weight *= args_.normalised ? args_.scale / (sum + 1e-20f) : args_.scale;
    if (lane >= args_.chosen) {
      expert = args_.experts + lane - args_.chosen;
      weight = 1.0f;
    }
  }

 private:
  __device__ int expert_of(int i) const { return threadIdx.x % kWarp + i * kWarp; }

  __device__ void load() {
    const float* logits = args_.logits + int64_t{row_} * args_.experts;
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) {
      score_[i] = expert_of(i) < args_.experts ? logits[expert_of(i)] : -INFINITY;
    }
  }

  __device__ void score() {
    float top = -INFINITY;
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) top = fmaxf(top, score_[i]);
    top = warp_max(top);
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) {
      score_[i] = args_.sigmoid ? 1.0f / (1.0f + expf(-score_[i])) : expf(score_[i] - top);
      sum += score_[i];
    }
    sum = warp_sum(sum);
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) {
      const int expert = expert_of(i);
      if (!args_.sigmoid) score_[i] /= sum;
      choice_[i] = -INFINITY;
      if (expert >= args_.experts) continue;
      choice_[i] = score_[i];
      if (args_.bias) {
        choice_[i] += __bfloat162float(static_cast<const __nv_bfloat16*>(args_.bias)[expert]);
      }
    }
  }

  // The best expert from `begin` to `end`, which is out of the choice from now on.
  __device__ Best take_best(int begin, int end) {
    Best best = {-INFINITY, args_.experts};
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) {
      const bool inside = expert_of(i) >= begin && expert_of(i) < end;
      if (inside && choice_[i] > best.value) best = {choice_[i], expert_of(i)};
    }
    best = best_of_warp(best);
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) {
      if (expert_of(i) == best.index) choice_[i] = -INFINITY;
    }
    return best;
  }

  __device__ float score_of(int expert) const {
    float value = 0.0f;
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) {
      if (expert_of(i) == expert) value = score_[i];
    }
    return warp_sum(value);
  }

  // Lane g gets how good group g is, and the experts of all but the best groups leave the choice.
  __device__ void leave_best_groups() {
    const int lane = threadIdx.x % kWarp;
    const int size = args_.experts / args_.groups;
    float all[kOfLane];
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) all[i] = choice_[i];
    Best own = {-INFINITY, lane};
    for (int group = 0; group < args_.groups; ++group) {
      float value = take_best(group * size, (group + 1) * size).value;
      if (args_.bias) value += take_best(group * size, (group + 1) * size).value;
      if (lane == group) own.value = value;
    }
    unsigned taken = 0;
    for (int i = 0; i < args_.groups_taken; ++i) {
      const int best = best_of_warp(own).index;
      taken |= 1u << best;
      if (lane == best) own.value = -INFINITY;
    }
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) {
      const int expert = expert_of(i);
      const bool eligible = expert < args_.experts && (taken >> (expert / size) & 1u) != 0;
      choice_[i] = eligible ? all[i] : -INFINITY;
    }
  }

  const RouteTokens& args_;
  const int row_;
  float score_[kOfLane];
  float choice_[kOfLane];
};

__global__ void __launch_bounds__(kWarps* kWarp) route_tokens(RouteTokens args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int row = blockIdx.x * kWarps + threadIdx.x / kWarp;
  if (row >= args.rows) return;
  const int slots = args.chosen + args.shared;
  const int lane = threadIdx.x % kWarp;
  const bool padding = args.positions[row] < 0;
  int expert = 0;
  float weight = 0.0f;
  if (!padding) Router(args, row).choose(expert, weight);
  if (lane >= slots) return;
  args.weights[int64_t{row} * slots + lane] = weight;
  if (padding) return;
  const int at = atomicAdd(args.counts + expert, 1);
  args.lists[int64_t{expert} * args.list_stride + at] = row * slots + lane;
}

constexpr int kSumThreads = 256;

__global__ void __launch_bounds__(kSumThreads) sum_experts(SumExperts args) {
  let_next_kernel_start();
  wait_for_earlier_kernels();
  const int vectors = args.width / 8;
  const int row = blockIdx.y;
  const int at = blockIdx.x * kSumThreads + threadIdx.x;
  if (blockIdx.x == 0 && row == 0) {
    for (int i = threadIdx.x; i < args.experts; i += kSumThreads) args.counts[i] = 0;
  }
  if (at >= vectors) return;
  const int64_t to = int64_t{row} * vectors + at;
  const int64_t first = int64_t{row} * args.slots;
  const auto* answers = static_cast<const Bf16x8*>(args.answers) + first * vectors + at;
  float2 sum[4] = {};
  if (args.epilogue == kAddBf16) {
    const Bf16x8 old = static_cast<const Bf16x8*>(args.out)[to];
#pragma unroll
    for (int p = 0; p < 4; ++p) sum[p] = unpack(old.pair[p]);
  }
#pragma unroll 4
  for (int slot = 0; slot < args.slots; ++slot) {
    const float weight = args.weights[first + slot];
    const Bf16x8 answer = answers[int64_t{slot} * vectors];
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const float2 a = unpack(answer.pair[p]);
      sum[p].x += weight * a.x;
      sum[p].y += weight * a.y;
    }
  }
  if (args.epilogue == kStoreFloat) {
    float4* const out = static_cast<float4*>(args.out) + 2 * to;
    out[0] = {sum[0].x, sum[0].y, sum[1].x, sum[1].y};
    out[1] = {sum[2].x, sum[2].y, sum[3].x, sum[3].y};
    return;
  }
  Bf16x8 out;
#pragma unroll
  for (int p = 0; p < 4; ++p) out.pair[p] = pack(sum[p].x, sum[p].y);
  static_cast<Bf16x8*>(args.out)[to] = out;
}

}  // namespace

extern "C" int spillway_route_tokens(const RouteTokens* args, Stream stream) {
  const bool supported = args->experts <= kRoutedExpertsMax &&
                         args->experts + args->shared <= kExpertsMax &&
                         args->chosen + args->shared <= kSlotsMax && args->groups >= 1 &&
                         args->groups <= kExpertGroupsMax && args->experts % args->groups == 0;
  if (!supported) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3((args->rows + kWarps - 1) / kWarps);
  shape.block = dim3(kWarps * kWarp);
  return launch(route_tokens, shape, stream, *args);
}

extern "C" int spillway_sum_experts(const SumExperts* args, Stream stream) {
  if (args->width % 8 != 0 || args->epilogue > kAddBf16) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  LaunchShape shape;
  shape.grid = dim3((args->width / 8 + kSumThreads - 1) / kSumThreads, args->rows);
  shape.block = dim3(kSumThreads);
  return launch(sum_experts, shape, stream, *args);
}

}  // namespace spillway::kernels
