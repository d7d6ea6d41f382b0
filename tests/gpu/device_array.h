// Device memory and bf16 for the GPU tests: arrays that come poisoned, and inputs that are new in
// every run.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cuda_runtime_api.h>
#include <random>
#include <span>
#include <vector>

namespace spillway::gpu_test {

struct Bf16 {
  std::uint16_t bits = 0;

  Bf16() = default;
  explicit Bf16(float value) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    bits = static_cast<std::uint16_t>((word + 0x7fffu + (word >> 16 & 1u)) >> 16);
  }
  operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

// A test cannot go on after a failed CUDA call, and must not pass either.
inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::abort();
}
inline void check(int error, const char* what) { check(static_cast<cudaError_t>(error), what); }

inline int device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

// `count` elements on the device, all bits set at first: NaN in bf16 and float, -1 in integers.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : count_(count) {
    check(cudaMalloc(reinterpret_cast<void**>(&data_), bytes() > 0 ? bytes() : 1), "cudaMalloc");
    check(cudaMemset(data_, 0xff, bytes()), "cudaMemset");
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    check(cudaMemcpy(data_, values.data(), bytes(), cudaMemcpyHostToDevice), "upload");
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* get() { return data_; }
  std::size_t count() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(T); }

  // Waits for the device, so an error of any kernel before shows here.
  std::vector<T> download() const {
    check(cudaDeviceSynchronize(), "kernel");
    std::vector<T> values(count_);
    check(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost), "download");
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t count_;
};

// One generator a process; SPILLWAY_TEST_SEED repeats a run.
inline std::mt19937_64& generator() {
  static std::mt19937_64 engine = [] {
    const char* fixed = std::getenv("SPILLWAY_TEST_SEED");
    const std::uint64_t seed = fixed ? std::strtoull(fixed, nullptr, 10) : std::random_device{}();
    std::printf("SPILLWAY_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
    return std::mt19937_64(seed);
  }();
  return engine;
}

inline int random_int(int low, int high) {
  return std::uniform_int_distribution<int>(low, high)(generator());
}

inline std::vector<Bf16> random_bf16(std::size_t count, float deviation = 1.0f, float mean = 0.0f) {
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<Bf16> values(count);
  for (Bf16& value : values) value = Bf16(normal(generator()));
  return values;
}

// ‖out - expected‖ / ‖expected‖; NaN if anything in `out` is.
template <class T>
double relative_error(std::span<const T> out, std::span<const double> expected) {
  double difference = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double delta = static_cast<double>(out[i]) - expected[i];
    difference += delta * delta;
    norm += expected[i] * expected[i];
  }
  return std::sqrt(difference) / std::sqrt(norm > 0.0 ? norm : 1.0);
}

// The worst row of a [rows, width] matrix.
template <class T>
double worst_row_error(const std::vector<T>& out, const std::vector<double>& expected,
                       std::size_t width) {
  double worst = 0.0;
  for (std::size_t at = 0; at < expected.size(); at += width) {
    const double error = relative_error<T>({out.data() + at, width}, {expected.data() + at, width});
    if (!(error <= worst)) worst = error;  // Also takes NaN, and keeps it.
    if (std::isnan(worst)) return worst;
  }
  return worst;
}

}  // namespace spillway::gpu_test
