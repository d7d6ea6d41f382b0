#include "backends/local/cuda/linear.h"

#include "backends/local/cuda/stream_timer.h"

#include <algorithm>
#include <array>
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <vector>

namespace spillway::local::cuda {

namespace {

constexpr std::size_t kWorkspaceBytes = std::size_t(64) << 20;
constexpr int kCandidates = 12;
constexpr std::int8_t kFast = 1;  // Sums of E4M3 as the tensor cores keep them.
constexpr int kNoAlgorithm = 15;  // CUBLAS_STATUS_NOT_SUPPORTED, as an int.

int stride_of(const LinearCall& call) { return call.out_stride > 0 ? call.out_stride : call.n; }

}  // namespace

struct Linear::Library {
  ~Library() {
    if (handle != nullptr) cublasLtDestroy(handle);
  }
  cublasLtHandle_t handle = nullptr;
};

// In the library's column-major words: out (n × rows) = weight (k × n)ᵀ · x (k × rows).
struct Linear::Plan {
  Plan(const LinearCall& call, int rows) {
    const cudaDataType_t out_type = call.kind == LinearOut::fp32 ? CUDA_R_32F : CUDA_R_16BF;
    cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    const cudaDataType_t in_type = call.e4m3 ? CUDA_R_8F_E4M3 : CUDA_R_16BF;
    if (call.e4m3) set(CUBLASLT_MATMUL_DESC_FAST_ACCUM, kFast);
    if (call.x_scales != nullptr) scale_rows(call);
    const auto n = static_cast<std::uint64_t>(call.n);
    const auto k = static_cast<std::uint64_t>(call.k);
    const auto m = static_cast<std::uint64_t>(rows);
    cublasLtMatrixLayoutCreate(&weight, in_type, k, n, call.k);
    cublasLtMatrixLayoutCreate(&x, in_type, k, m, call.k);
    cublasLtMatrixLayoutCreate(&out, out_type, n, m, stride_of(call));
    beta = call.kind == LinearOut::add_bf16 ? 1.0f : 0.0f;
  }
  ~Plan() {
    cublasLtMatrixLayoutDestroy(weight);
    cublasLtMatrixLayoutDestroy(x);
    cublasLtMatrixLayoutDestroy(out);
    cublasLtMatmulDescDestroy(operation);
  }
  Plan(const Plan&) = delete;

  // The library looks for a kernel only once it knows the scales.
  void scale_rows(const LinearCall& call) const {
    const cublasLtMatmulMatrixScale_t by_row = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, by_row);
    set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, by_row);
    point_to_scales(call);
  }

  void point_to_scales(const LinearCall& call) const {
    set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, call.weight_scales);
    set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, call.x_scales);
  }

  template <class Value>
  void set(cublasLtMatmulDescAttributes_t attribute, const Value& value) const {
    cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof(value));
  }

  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t weight = nullptr;
  cublasLtMatrixLayout_t x = nullptr;
  cublasLtMatrixLayout_t out = nullptr;
  float beta = 0.0f;
  std::vector<cublasLtMatmulAlgo_t> candidates;  // Best guess first.
  std::size_t chosen = 0;
  bool tuned = false;
};

Linear::Linear(CUstream_st* stream) : stream_(stream), library_(std::make_unique<Library>()) {}

Linear::~Linear() = default;

Result<void> Linear::open() {
  if (cublasLtCreate(&library_->handle) != CUBLAS_STATUS_SUCCESS) {
    return Error{Errc::backend_unavailable, "GPU: cuBLASLt does not start", "", std::nullopt};
  }
  auto workspace = allocate_device(kWorkspaceBytes);
  if (!workspace) return workspace.error();
  workspace_ = std::move(*workspace);
  return {};
}

Result<std::unique_ptr<Linear>> Linear::create(CUstream_st* stream) {
  std::unique_ptr<Linear> linear(new Linear(stream));
  if (auto opened = linear->open(); !opened) return opened.error();
  return linear;
}

int Linear::padded_rows(int rows) {
  const int step = rows <= 2 * kTileRows ? 8 : kTileRows;
  return (rows + step - 1) / step * step;
}

void Linear::ask_library(Plan& plan) {
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtMatmulPreferenceCreate(&preference);
  cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                       &kWorkspaceBytes, sizeof(kWorkspaceBytes));
  std::array<cublasLtMatmulHeuristicResult_t, kCandidates> found;
  int count = 0;
  cublasLtMatmulAlgoGetHeuristic(library_->handle, plan.operation, plan.weight, plan.x, plan.out,
                                 plan.out, preference, kCandidates, found.data(), &count);
  cublasLtMatmulPreferenceDestroy(preference);
  for (int i = 0; i < count; ++i) {
    plan.candidates.push_back(found[static_cast<std::size_t>(i)].algo);
  }
}

// A tuned plan of the same matrix with a few more rows, if there is one.
const Linear::Plan* Linear::tuned_neighbour(const Key& key) const {
  const auto& [n, stride, k, kind, form, rows] = key;
  const auto matrix = std::tie(n, stride, k, kind, form);
  for (auto it = plans_.upper_bound(key); it != plans_.end(); ++it) {
    const auto& [other_n, other_stride, other_k, other_kind, other_form, other_rows] = it->first;
    const bool same = matrix == std::tie(other_n, other_stride, other_k, other_kind, other_form);
    if (!same || other_rows > rows + rows / 2) return nullptr;
    if (it->second->tuned) return it->second.get();
  }
  return nullptr;
}

Linear::Plan* Linear::plan_for(const LinearCall& call) {
  const int form = (call.e4m3 ? 1 : 0) + (call.x_scales != nullptr ? 1 : 0);
  const Key key = {call.n, stride_of(call), call.k, call.kind, form, padded_rows(call.rows)};
  if (const auto it = plans_.find(key); it != plans_.end()) return it->second.get();
  auto plan = std::make_unique<Plan>(call, padded_rows(call.rows));
  if (const Plan* neighbour = tuned_neighbour(key)) {
    const cublasLtMatmulAlgo_t& algo = neighbour->candidates[neighbour->chosen];
    cublasLtMatmulHeuristicResult_t checked;
    const bool fits =
        cublasLtMatmulAlgoCheck(library_->handle, plan->operation, plan->weight, plan->x, plan->out,
                                plan->out, &algo, &checked) == CUBLAS_STATUS_SUCCESS &&
        checked.workspaceSize <= kWorkspaceBytes;
    if (fits) plan->candidates.push_back(algo);
  }
  if (plan->candidates.empty()) ask_library(*plan);
  return plans_.emplace(key, std::move(plan)).first->second.get();
}

int Linear::run_plan(const Plan& plan, const LinearCall& call) {
  if (plan.candidates.empty()) return kNoAlgorithm;
  const float alpha = 1.0f;
  if (call.x_scales != nullptr) plan.point_to_scales(call);
  return cublasLtMatmul(library_->handle, plan.operation, &alpha, call.weight, plan.weight, call.x,
                        plan.x, &plan.beta, call.out, plan.out, call.out, plan.out,
                        &plan.candidates[plan.chosen], workspace_.get(), kWorkspaceBytes, stream_);
}

int Linear::run(const LinearCall& call) { return run_plan(*plan_for(call), call); }

// Milliseconds for all calls; very many if the candidate does not run.
Result<float> Linear::time_plan(const Plan& plan, std::span<const LinearCall> calls) {
  constexpr float kUnusable = 1e30f;
  bool runs = run_plan(plan, calls.front()) == 0;
  const auto time = milliseconds_of(stream_, [&] {
    for (const LinearCall& call : calls) runs = runs && run_plan(plan, call) == 0;
  });
  if (!time) return time.error();
  return runs ? *time : kUnusable;
}

Result<void> Linear::tune(std::span<const LinearCall> calls) {
  Plan& plan = *plan_for(calls.front());
  if (plan.tuned) return {};
  plan.candidates.clear();
  ask_library(plan);
  std::vector<float> times;
  for (plan.chosen = 0; plan.chosen < plan.candidates.size(); ++plan.chosen) {
    const auto time = time_plan(plan, calls);
    if (!time) return time.error();
    times.push_back(*time);
  }
  const auto best = std::min_element(times.begin(), times.end());
  plan.chosen = static_cast<std::size_t>(best - times.begin());
  plan.tuned = !times.empty();
  return {};
}

}  // namespace spillway::local::cuda
