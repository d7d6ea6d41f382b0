// The GPU kernels of the local engine, behind a plain C ABI: no torch, no CUDA header needed here.
//
// Every function enqueues on `stream` and returns at once: 0, or the cudaError_t of the launch
// (cudaErrorInvalidValue = 1 for a shape that the kernel does not take). None allocates, blocks or
// looks at device memory from the host, so all of them can be captured in a graph. Pointers are
// device pointers that the caller owns and keeps alive until the stream has passed; "bf16" is
// __nv_bfloat16. Matrices are row-major and dense unless a stride (in elements) is given. Pointers
// to bf16 rows must be 16-byte aligned.
//
// Kernels start early (programmatic dependent launch): each reads weights before, and activations
// only after, everything enqueued before it on the stream is done. Weights must therefore not be
// written by the kernel just before on the same stream.
#pragma once

#include <cstdint>

struct CUstream_st;  // cudaStream_t is a pointer to this.

namespace spillway::kernels {

inline constexpr int kPageTokens = 16;
inline constexpr int kSkinnyTokensMax = 8;

using Stream = CUstream_st*;

// ---- residual stream ----------------------------------------------------------------------------

// out[r] = row ids[r] of table, bf16 [*, width]. A negative id ~s stands for last_token[s]: the
// token that the sampler drew for slot s, which the host has not seen yet. Requires: width % 8 ==
// 0.
struct Embed {
  void* out;
  const void* table;
  const std::int32_t* ids;
  const std::int32_t* last_token;
  int rows;
  int width;
  float gain;  // What rows are multiplied by; 0: nothing.
};
extern "C" int spillway_embed(const Embed* args, Stream stream);

// s = x[row_index ? row_index[r] : r] (+ residual[same row], written back in bf16 if residual is
// given); out[r] = s / sqrt(mean(s²) + epsilon) · weight. Sums in fp32. Requires: width % 8 == 0,
// width ≤ 16384; x is bf16 [*, width], out bf16 [rows, width]. With `scales`, out is E4M3 as of
// spillway_quantize_rows.
struct RmsNorm {
  void* out;
  const void* x;
  void* residual;  // or null
  const void* weight;
  const std::int32_t* row_index;  // or null
  int rows;
  int width;
  float epsilon;
  float* scales;  // [rows] or null
  // Or null: x[r][i] counts times x_scales[r] · column_scales[i]. Requires then: a residual.
  const float* x_scales;  // Of the same row; may be `scales`.
  const float* column_scales;
};
extern "C" int spillway_rms_norm(const RmsNorm* args, Stream stream);

// residual[r] += x[r] / sqrt(mean(x[r]²) + epsilon) · weight. Requires: width % 8 == 0, width ≤
// 16384.
struct AddNormed {
  void* residual;  // bf16 [rows, width]
  const void* x;   // bf16 [rows, width]
  const void* weight;
  int rows;
  int width;
  float epsilon;
  const float* x_scales;  // As in RmsNorm; both or none.
  const float* column_scales;
};
extern "C" int spillway_add_normed(const AddNormed* args, Stream stream);

// What half of a row makes of the other half.
enum Gate : int {
  kNoGate = 0,
  kSilu = 1,
  kGelu = 2,  // By its approximation with tanh.
};

// out[r][i] = gate(gate_up[r][i]) · gate_up[r][width + i]. Requires: width % 8 == 0.
struct GateRows {
  void* out;
  const void* gate_up;
  int rows;
  int width;
  int gate;  // kSilu or kGelu
};
extern "C" int spillway_gate_rows(const GateRows* args, Stream stream);

// Bytes of E4M3 (four bits of exponent, three of mantissa): out[r][i] · scales[r] is nearly
// v[r][i], where scales[r] = max |v[r]| / 448 and v[r] is x[r], or gate(x[r][i]) · x[r][width + i]
// with a `gate`. With `x_scales`, x[r][i] counts times x_scales[r] · column_scales[i]: a product
// of E4M3 that is not scaled yet. Requires: width % 8 == 0, width ≤ 32768.
struct QuantizeRows {
  void* out;      // [rows, width], 16-byte aligned
  float* scales;  // [rows]
  const void* x;  // bf16 [rows, width or 2·width]
  int rows;
  int width;
  int gate;                    // A Gate.
  const float* x_scales;       // [rows] or null; may be `scales`
  const float* column_scales;  // [width or 2·width]
};
extern "C" int spillway_quantize_rows(const QuantizeRows* args, Stream stream);

// x[r][i] times row_scales[r] · column_scales[i], in place: a product of E4M3 that others add up.
// Requires: width % 8 == 0.
struct ScaleRows {
  void* x;  // bf16 [rows, width]
  const float* row_scales;
  const float* column_scales;
  int rows;
  int width;
};
extern "C" int spillway_scale_rows(const ScaleRows* args, Stream stream);

// ---- weights in fewer bits
// ------------------------------------------------------------------------

// How a matrix [rows, k] of weights lies in memory.
enum WeightFormat : int {
  kBf16 = 0,
  kE4m3 = 1,  // Bytes and a scale a row, as of spillway_quantize_rows.
  kInt8 = 2,  // Bytes and a float a row.
  kInt4 = 3,  // [rows, groups, 64 bytes] and bf16 [groups, rows]: groups of 128 columns, the last
              // filled up with zeros. The eight codes of a word are of columns 0, 2, 4, 6, 1, 3, 5,
              // 7, the lowest bits first.
  // The same codes, with a zero point for each group: words [groups, rows], where groups may be
  // parts of those 128 columns. A word is the bf16 scale, in its upper half, and 128 + the zero
  // point, which is 0 to 15, likewise.
  kInt4Zeros = 4,
  kInt4Zeros64 = 5,
  kInt4Zeros32 = 6,
};

// What formats of four bits have, which are the last ones: columns of a group, and zero points.
constexpr bool is_int4(int format) { return format >= kInt4; }
constexpr bool has_zeros(int format) { return format >= kInt4Zeros; }
constexpr int group_columns(int format) {
  return format == kInt4Zeros32 ? 32 : format == kInt4Zeros64 ? 64 : 128;
}

// int8 or int4 of bf16 weights, by the rule of backends/local/quantize/integer_codes.h: what
// becomes the rows from first_row on, of a matrix that has rows_in_all. Requires: columns % 8 == 0.
struct PackWeights {
  void* out;
  void* scales;
  const void* weights;  // bf16 [rows, columns]
  int rows;
  int columns;
  int format;
  int first_row;
  int rows_in_all;  // 0: rows
};
extern "C" int spillway_pack_weights(const PackWeights* args, Stream stream);

// The other way: bf16 of `rows` rows from first_row on, of a matrix that has rows_in_all.
struct WidenWeights {
  void* out;  // bf16 [rows, columns]
  const void* weights;
  const void* scales;
  int first_row;
  int rows;
  int rows_in_all;
  int columns;
  int format;
};
extern "C" int spillway_widen_weights(const WidenWeights* args, Stream stream);

// out[t][i] (+)= Σ_k x[t][k] · weight[i][k] of integers, accumulated in fp32: weights are read
// packed and become bf16 on the way into the product, those of int4 as spillway_widen_weights makes
// them. Best up to some hundreds of rows. Requires: n % 8 == 0, k % 8 == 0, of int8 k % 64 == 0; x,
// weights and out aligned to 16 bytes.
struct PackedLinear {
  void* out;           // bf16 [rows, n]
  const void* x;       // bf16 [rows, k]
  const void* weight;  // [n, k] of `format`
  const void* scales;
  int rows;
  int n;
  int k;
  int format;  // Of integers.
  int add;     // To what is in `out`.
};
extern "C" int spillway_packed_linear(const PackedLinear* args, Stream stream);

// ---- linear layers of few tokens
// ------------------------------------------------------------------

enum SkinnyEpilogue : int {
  kStoreBf16 = 0,
  kStoreFloat = 1,
  kAddBf16 = 2,  // out += …; each element is read and written by one thread, so in place is fine.
  kSiluMul = 3,  // weight holds 2·n rows, gate then up; out[t][i] = silu(row i) · row n + i.
  kGeluMul = 4,  // The same with GELU.
};

// out[t][i] = Σ_k x[t][k] · weight[i][k], accumulated in fp32 on the tensor cores, weights streamed
// once. With norm_weight, x is replaced by x / sqrt(mean(x²) + epsilon) · norm_weight on the way
// in. Weights may be of any format; x stays bf16. Requires: 1 ≤ tokens ≤ kSkinnyTokensMax, n % 16
// == 0, k % 32 == 0, for bytes k % 64 == 0.
struct SkinnyLinear {
  void* out;  // [tokens, n]
  const void* x;
  const void* weight;       // [n or 2·n, k]
  const void* norm_weight;  // bf16 [k] or null
  int tokens;
  int n;
  int k;
  float epsilon;
  int epilogue;
  const void* scales;  // Of the weights; null for bf16.
  int out_stride;      // Of a row of out; 0: n.
  int format;          // WeightFormat
};
extern "C" int spillway_skinny_linear(const SkinnyLinear* args, Stream stream);

// ---- logits
// -------------------------------------------------------------------------------------------

// logits[i] = cap · tanh(logits[i] / cap). Requires: count % 4 == 0; logits 16-byte aligned.
struct CapLogits {
  float* logits;
  std::int64_t count;
  float cap;
};
extern "C" int spillway_cap_logits(const CapLogits* args, Stream stream);

// ---- sampling
// -----------------------------------------------------------------------------------------

// Draws one token a row from fp32 logits. Temperature 0 takes the largest logit (the lowest id
// among equals). Otherwise softmax(logits / temperature), cut to the top_k largest (0: all), then
// to the smallest set of the largest with mass ≥ top_p (≥ 1: all); equals of the last one kept are
// kept too. With a cut, tokens below 2⁻⁴⁰ of the likeliest count as zero. The draw depends on
// (seed, counter, logits of the row) alone. Requires: vocabulary % 4 == 0; logits 16-byte aligned.
struct Sample {
  std::int32_t* token;  // [rows]
  float* logprob;       // [rows] natural log of softmax(logits)[token], before temperature; or null
  const float* logits;  // [rows, vocabulary]
  const float* temperature;  // [rows]; null: greedy for all
  const std::int32_t* top_k;
  const float* top_p;
  const std::uint64_t* seed;
  const std::int32_t*
      counter;  // [rows] e.g. the position: a different draw for every token of a sequence
  const std::int32_t*
      slot;  // [rows] or null: last_token[slot[r]] = token; a negative slot is skipped
  std::int32_t* last_token;
  int rows;
  int vocabulary;
};
extern "C" int spillway_sample(const Sample* args, Stream stream);

// ---- step state
// -----------------------------------------------------------------------------------------

// words[patches[i].at] = patches[i].value: what the host changes in the state of a step, in one
// launch. `patches` may be pinned host memory.
struct Patch {
  std::int32_t at;
  std::int32_t value;
};
extern "C" int spillway_patch(std::int32_t* words, const Patch* patches, int count, Stream stream);

// The state of the next decode step, on the device: positions[r] += 1 for rows that are not
// padding.
extern "C" int spillway_advance(std::int32_t* positions, int rows, Stream stream);

// ---- several GPUs
// -----------------------------------------------------------------------------------

// Ranks that compute each layer together, one GPU each, reach each other's memory by plain
// pointers. A pass has a fixed number of exchanges, which all ranks enqueue in the same order; an
// exchange waits on the device until every rank has come to it. A rank that waits for longer than
// kPeerPatience gives up and takes its CUDA context with it.
inline constexpr int kRanksMax = 8;
inline constexpr int kPeerBlocksMax = 396;               // Of one exchange.
inline constexpr int kPeerSignals = kPeerBlocksMax + 1;  // The last: tokens have been handed out.

struct PeerGroup {
  int rank;
  int ranks;
  std::uint32_t* signals[kRanksMax];  // Of each rank: [kRanksMax, kPeerSignals], zeros at first.
  std::uint32_t* pass;                // Of this rank: passes begun, 1 at first.
  std::uint32_t exchanges;            // In a pass.
};

// out[t][i] += Σ_ranks x[t][i], or = with `stores`, in the order of the ranks, for few tokens: what
// arrives says itself that it has. Two exchanges in turn have different `index % 2`. Requires:
// tokens ≤ kSkinnyTokensMax, width % 2 == 0.
struct PeerSumFew {
  PeerGroup group;
  std::uint32_t index;     // Of the exchange in its pass.
  void* inbox[kRanksMax];  // Of each rank: [2, ranks, kSkinnyTokensMax · width / 2] of 16 bytes,
                           // zeros at first.
  void* out;               // bf16 [tokens, width]
  const float* x;          // [tokens, width] of this rank
  int tokens;
  int width;
  int stores;
};
extern "C" int spillway_peer_sum_few(const PeerSumFew* args, Stream stream);

// As spillway_rms_norm with a residual, where x is the sum of all ranks' x; without `out` as
// spillway_add_normed. The ranks' x of two exchanges in turn lie in different memory. Requires:
// width % 8 == 0, width ≤ 16384.
struct PeerNorm {
  PeerGroup group;
  std::uint32_t index;
  const void* x[kRanksMax];  // bf16 [*, width] of each rank
  void* out;                 // or null
  void* residual;
  const void* weight;
  const std::int32_t* row_index;  // or null
  int rows;
  int width;
  float epsilon;
  float* scales;  // [rows] or null
};
extern "C" int spillway_peer_norm(const PeerNorm* args, Stream stream);

// The last exchange of a pass: once it is over, all that any rank enqueued before is done, and
// seen by all. Counts the pass.
extern "C" int spillway_peer_meet(const PeerGroup* group, std::uint32_t index, Stream stream);

// After a pass: rank 0 gives its words to all others, who wait for them.
struct PeerWords {
  PeerGroup group;
  std::int32_t* words[kRanksMax];  // Of each rank.
  int count;
};
extern "C" int spillway_peer_hand_out(const PeerWords* args, Stream stream);

// ---- benches
// ----------------------------------------------------------------------------------------------

// out[i] = mean + deviation · (a random number of that seed and i), bf16.
struct FillRandom {
  void* out;
  std::int64_t count;
  std::uint64_t seed;
  float mean;
  float deviation;
};
extern "C" int spillway_fill_random(const FillRandom* args, Stream stream);

}  // namespace spillway::kernels
