#include "backends/local/cuda/device.h"

#include <cuda_runtime_api.h>
#include <string>

namespace spillway::local::cuda {

Error device_error(int code, const char* what) {
  const char* name = cudaGetErrorString(static_cast<cudaError_t>(code));
  return {Errc::backend_unavailable, std::string("GPU: ") + what + ": " + name, "", std::nullopt};
}

Result<void> FirstError::result() const {
  if (code_ == 0) return {};
  return device_error(code_, what_);
}

void free_device(void* data) { cudaFree(data); }

void free_pinned(void* data) { cudaFreeHost(data); }

Result<DeviceMemory> allocate_device(std::size_t bytes) {
  void* data = nullptr;
  const int error = cudaMalloc(&data, bytes);
  if (error != 0) return device_error(error, "taking memory");
  return DeviceMemory(data);
}

Result<DeviceMemory> allocate_device_zeroed(std::size_t bytes) {
  auto memory = allocate_device(bytes);
  if (!memory) return memory;
  const int error = cudaMemset(memory->get(), 0, bytes);
  if (error != 0) return device_error(error, "clearing memory");
  return memory;
}

Result<PinnedMemory> allocate_pinned(std::size_t bytes) {
  void* data = nullptr;
  const int error = cudaMallocHost(&data, bytes);
  if (error != 0) return device_error(error, "taking pinned memory");
  return PinnedMemory(data);
}

namespace {

template <class Memory>
void take(Result<void>& result, Memory& out, Result<Memory> memory) {
  if (memory) {
    out = std::move(*memory);
  } else {
    result = memory.error();
  }
}

}  // namespace

void Allocations::device(DeviceMemory& out, std::size_t bytes) {
  if (!result_) return;
  take(result_, out, allocate_device(bytes));
  device_bytes_ += bytes;
}

void Allocations::zeroed(DeviceMemory& out, std::size_t bytes) {
  if (!result_) return;
  take(result_, out, allocate_device_zeroed(bytes));
  device_bytes_ += bytes;
}

void Allocations::pinned(PinnedMemory& out, std::size_t bytes) {
  if (result_) take(result_, out, allocate_pinned(bytes));
}

}  // namespace spillway::local::cuda
