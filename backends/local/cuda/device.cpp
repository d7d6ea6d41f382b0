#include "backends/local/cuda/device.h"

#include <cuda_runtime_api.h>
#include <string>

namespace spillway::local::cuda {

namespace {

Error unavailable(const std::string& what) {
  return {Errc::backend_unavailable, "GPU: " + what, "", std::nullopt};
}

Error no_memory(int code, const char* kind, std::size_t bytes) {
  std::string what = std::string("taking ") + std::to_string((bytes >> 20) + 1) + " MiB of " + kind;
  const Error error = device_error(code, what.c_str());
  if (code != cudaErrorMemoryAllocation) return error;
  return {error.code, error.message + ": lower kv_tokens_max, sequences_max or step_tokens_max", "",
          std::nullopt};
}

Result<void> check_capability(int device) {
  constexpr int kMajor = 9;  // kernels/CMakeLists.txt compiles for sm_90a, which nothing else runs.
  int major = 0;
  int minor = 0;
  FirstError errors;
  errors.note(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "device");
  errors.note(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "device");
  if (!errors.none()) return errors.result();
  if (major == kMajor && minor == 0) return {};
  return unavailable("the device has compute capability " + std::to_string(major) + "." +
                     std::to_string(minor) + ", and the kernels are built for 9.0 (H100, H200)");
}

Result<void> check_reach(int from, int to) {
  if (from == to) return {};
  int can = 0;
  FirstError errors;
  errors.note(cudaDeviceCanAccessPeer(&can, from, to), "device");
  if (!errors.none()) return errors.result();
  if (can != 0) return {};
  return unavailable("device " + std::to_string(from) + " does not reach the memory of device " +
                     std::to_string(to) + ": choose tensor_parallel: 1");
}

Result<void> check_group(DeviceGroup group) {
  const int end = group.first + group.count;
  for (int device = group.first; device < end; ++device) {
    if (auto fits = check_capability(device); !fits) return fits;
    for (int other = group.first; other < end; ++other) {
      if (auto reached = check_reach(device, other); !reached) return reached;
    }
  }
  return {};
}

std::string gpus(int count) { return std::to_string(count) + (count == 1 ? " GPU" : " GPUs"); }

Error too_few(int groups, int each, int found) {
  const std::string who =
      groups == 1 ? "tensor_parallel needs "
                  : "replicas: " + std::to_string(groups) + " of " + gpus(each) + " each need ";
  return unavailable(who + std::to_string(groups * each) + "; " + std::to_string(found) +
                     (found == 1 ? " is there" : " are there"));
}

}  // namespace

Error device_error(int code, const char* what) {
  const char* name = cudaGetErrorString(static_cast<cudaError_t>(code));
  return unavailable(std::string(what) + ": " + name);
}

Result<void> check_devices(int groups, int each) {
  int found = 0;
  const int error = cudaGetDeviceCount(&found);
  if (error != 0 || found == 0) {
    const char* why = error == 0 ? "none" : cudaGetErrorString(static_cast<cudaError_t>(error));
    return unavailable(std::string("looking for a device: ") + why +
                       ": run nvidia-smi, or choose executor: torch");
  }
  if (found < groups * each) return too_few(groups, each, found);
  for (int group = 0; group < groups; ++group) {
    if (auto fits = check_group({group * each, each}); !fits) return fits;
  }
  return {};
}

Result<void> use_device(int device) {
  FirstError errors;
  errors.note(cudaSetDevice(device), "choosing a device");
  return errors.result();
}

Result<void> reach_devices(DeviceGroup group) {
  int own = 0;
  FirstError errors;
  errors.note(cudaGetDevice(&own), "device");
  for (int other = group.first; other < group.first + group.count; ++other) {
    if (other == own) continue;
    const cudaError_t error = cudaDeviceEnablePeerAccess(other, 0);
    if (error == cudaErrorPeerAccessAlreadyEnabled) {
      cudaGetLastError();  // It is no failure, and must not be found by whoever looks next.
      continue;
    }
    errors.note(error, "reaching another device's memory");
  }
  return errors.result();
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
  if (error != 0) return no_memory(error, "its memory", bytes);
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
  if (error != 0) return no_memory(error, "pinned memory", bytes);
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
