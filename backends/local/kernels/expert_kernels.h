// Kernels of mixtures of experts: which experts a token takes, products with the weights of many
// groups at once, and the sum of what experts answer. As kernels.h in all that it says of functions
// and pointers.
//
// The choice of a step: token t's slot j names an expert, and `lists` holds t · slots + j in the
// row of that expert, in any order, `counts` how many. Experts that are shared come behind those
// that are chosen, every token takes them, and their slots are the last.
#pragma once

#include "backends/local/kernels/kernels.h"

namespace spillway::kernels {

inline constexpr int kExpertsMax = 512;
inline constexpr int kRoutedExpertsMax = 256;
inline constexpr int kExpertGroupsMax = 32;
inline constexpr int kSlotsMax = 32;

// scores[t]: softmax, or sigmoid, of what the router says. Of groups of experts only the
// `groups_taken` best are eligible (a group is as good as its best expert, with a bias as the sum
// of its two best), and of those the `chosen` experts with the largest score, plus bias if there is
// one, the lowest among equals. The weight of a slot is the expert's score without bias, over the
// sum of those chosen if `normalised`, times `scale`; of shared ones 1. Rows with a negative
// position are padding: their weights are 0 and no list names them. Requires: counts are 0; experts
// ≤ kRoutedExpertsMax; chosen + shared ≤ kSlotsMax; groups ≤ kExpertGroupsMax divides experts.
struct RouteTokens {
  float* weights;        // [rows, chosen + shared]
  std::int32_t* lists;   // [experts + shared, list_stride]
  std::int32_t* counts;  // [experts + shared]
  const float* logits;   // [rows, experts]
  const void* bias;      // bf16 [experts] or null
  const std::int32_t* positions;
  int rows;
  int experts;
  int shared;
  int chosen;
  int groups;
  int groups_taken;
  int sigmoid;
  int normalised;
  float scale;
  int list_stride;
};
extern "C" int spillway_route_tokens(const RouteTokens* args, Stream stream);

// Products of rows with the weights of their group: out[r] = x[r / x_share] · weight[g]ᵀ for each r
// that the list of group g names, or without lists for each r < rows, and with `silu_mul`
// silu(first half) · second half of it. Rows of a group begin at g · …_group, row r of those at
// r · …_stride, in elements. Sums in fp32. With `after_same_lists` the kernel enqueued just before
// is another such product of the same lists, and weights are read before it ends. Requires: n % 16
// == 0, k % 64 == 0; rows of x, weights and out aligned to 16 bytes; groups ≤ kExpertsMax.
//
// Weights may be of kBf16 and, with lists, of kE4m3, kInt8 or kInt4: one matrix of the rows of all
// groups. spillway_grouped_linear multiplies those of kE4m3 with rows of x in E4M3, which have a
// scale each; integers become bf16 on the way.
struct GroupedLinear {
  void* out;           // bf16
  const void* x;       // bf16
  const void* weight;  // [groups, n or 2·n, k] of `format`
  int groups;
  int n;
  int k;
  int silu_mul;
  std::int64_t x_stride;
  std::int64_t x_group;
  std::int64_t out_stride;
  std::int64_t out_group;
  const std::int32_t* lists;   // or null
  const std::int32_t* counts;  // With lists.
  int list_stride;
  int after_same_lists;
  int x_share;  // 1 without lists
  int rows;     // Of a group; with lists at most, and of all groups together: `rows_listed`.
  int rows_listed;
  int rows_usual;         // With lists, how many most of them name; decides only how fast it is.
  int format;             // WeightFormat
  const void* scales;     // Of the weights; null for bf16.
  const float* x_scales;  // Of rows of x in E4M3.
};
extern "C" int spillway_grouped_linear(const GroupedLinear* args, Stream stream);

// As spillway_grouped_linear for few rows: no list is longer than kSkinnyTokensMax. With
// norm_weight, x is normed on the way in as by spillway_skinny_linear; it is bf16 beside weights of
// any format. Requires: n % 16 == 0, k % 32 == 0, for bytes k % 64 == 0, rows ≤ kSkinnyTokensMax.
struct GroupedSkinny {
  GroupedLinear product;
  const void* norm_weight;  // or null
  float epsilon;
};
extern "C" int spillway_grouped_skinny(const GroupedSkinny* args, Stream stream);

// out[t] = (or += for kAddBf16) Σ_j weights[t][j] · answers[t · slots + j], in the order of the
// slots, and counts are 0 again. Requires: width % 8 == 0.
struct SumExperts {
  void* out;            // [rows, width]
  const void* answers;  // bf16 [rows · slots, width]
  const float* weights;
  std::int32_t* counts;
  int rows;
  int width;
  int slots;
  int experts;   // Shared ones too.
  int epilogue;  // kStoreBf16, kStoreFloat or kAddBf16
};
extern "C" int spillway_sum_experts(const SumExperts* args, Stream stream);

}  // namespace spillway::kernels
