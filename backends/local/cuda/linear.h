// Matrix products of activations and weights through cuBLASLt, for any number of rows, in bf16 or
// of E4M3.
//
// Engine thread only, on one stream. Keeps a plan (layouts and algorithm) for every shape it has
// met. A plan can be timed against its rivals beforehand (tune), never while a graph is captured;
// shapes of slightly fewer rows take over what was found.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/cuda/device.h"

#include <map>
#include <memory>
#include <span>
#include <tuple>

namespace spillway::local::cuda {

enum class LinearOut { bf16, fp32, add_bf16 };

// out[rows, n] (=, or +=) x[rows, k] · weight[n, k]ᵀ. cuBLASLt also computes the rows up to
// padded_rows(rows): x and out must have room for them; what they hold does not matter.
struct LinearCall {
  void* out = nullptr;
  const void* x = nullptr;
  const void* weight = nullptr;
  int rows = 0;
  int n = 0;
  int k = 0;
  LinearOut kind = LinearOut::bf16;
  bool e4m3 = false;  // x and weight are.
  // Both or none, of E4M3: for each row of x, padded ones too, and of the weight. The library
  // scales so with one of its kernels alone, which is slow for large k.
  const float* x_scales = nullptr;
  const float* weight_scales = nullptr;
  int out_stride = 0;  // Of a row of out; 0: n.
};

class Linear {
 public:
  static Result<std::unique_ptr<Linear>> create(CUstream_st* stream);
  ~Linear();

  static constexpr int kTileRows = 128;  // Of the library's kernels.

  // Rows are rounded up so that few plans serve all step sizes; more of a tile cost nothing.
  static int padded_rows(int rows);

  // Enqueues; a CUDA or cuBLAS status, 0 if fine.
  int run(const LinearCall& call);

  // Times the best candidates on `calls`, which differ in weights only (enough of them that the
  // cache does not matter), and keeps the fastest for this shape. Waits for the stream.
  Result<void> tune(std::span<const LinearCall> calls);

 private:
  struct Plan;
  struct Library;
  // n, out's stride, k, kind, form of the inputs, padded rows
  using Key = std::tuple<int, int, int, LinearOut, int, int>;

  explicit Linear(CUstream_st* stream);
  Result<void> open();
  Plan* plan_for(const LinearCall& call);
  void ask_library(Plan& plan);
  const Plan* tuned_neighbour(const Key& key) const;
  int run_plan(const Plan& plan, const LinearCall& call);
  Result<float> time_plan(const Plan& plan, std::span<const LinearCall> calls);

  CUstream_st* const stream_;
  std::unique_ptr<Library> library_;
  DeviceMemory workspace_;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace spillway::local::cuda
