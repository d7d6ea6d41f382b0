// Device and pinned memory with an owner, and CUDA's error codes in the words of the house.
//
// Engine thread only. Nothing here waits for the device, except freeing it.
#pragma once

#include "backends/contract/error.h"

#include <cstddef>
#include <utility>

struct CUstream_st;
struct CUevent_st;

namespace spillway::local::cuda {

// backend_unavailable: the device cannot be used any more. `what` says what was being done.
Error device_error(int code, const char* what);

// GPUs that work together: `count` of them from `first` on, rank r on GPU first + r.
struct DeviceGroup {
  int first = 0;
  int count = 1;
};

// Of so many groups of so many GPUs, one behind the other. backend_unavailable: there are fewer
// GPUs, or one of these is none that the kernels are built for, or those of a group do not reach
// each other's memory.
Result<void> check_devices(int groups, int each);

// The calling thread speaks to this GPU from now on.
Result<void> use_device(int device);

// Kernels on this thread's GPU, one of the group, may use the memory of all of it. Requires:
// check_devices.
Result<void> reach_devices(DeviceGroup group);

// The first of a series of launches that failed; a step is enqueued whole and looked at once.
class FirstError {
 public:
  void note(int code, const char* what) {
    if (code == 0 || code_ != 0) return;
    code_ = code;
    what_ = what;
  }
  bool none() const { return code_ == 0; }
  Result<void> result() const;

 private:
  int code_ = 0;
  const char* what_ = "";
};

// Memory of its own, freed with it. Empty if default-constructed.
template <void (*free_memory)(void*)>
class OwnedMemory {
 public:
  OwnedMemory() = default;
  explicit OwnedMemory(void* data) : data_(data) {}
  ~OwnedMemory() { free_memory(data_); }
  OwnedMemory(OwnedMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  OwnedMemory& operator=(OwnedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }

  template <class T = void>
  T* get() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
};

void free_device(void* data);
void free_pinned(void* data);

using DeviceMemory = OwnedMemory<free_device>;
using PinnedMemory = OwnedMemory<free_pinned>;  // Of the host; kernels can read and write it.

Result<DeviceMemory> allocate_device(std::size_t bytes);
Result<DeviceMemory> allocate_device_zeroed(std::size_t bytes);
Result<PinnedMemory> allocate_pinned(std::size_t bytes);

// Several allocations in a row, looked at once: `allocate` fills `out` unless one before it failed.
class Allocations {
 public:
  void device(DeviceMemory& out, std::size_t bytes);
  void zeroed(DeviceMemory& out, std::size_t bytes);
  void pinned(PinnedMemory& out, std::size_t bytes);
  Result<void> result() const { return result_; }
  std::size_t device_bytes() const { return device_bytes_; }

 private:
  Result<void> result_;
  std::size_t device_bytes_ = 0;
};

}  // namespace spillway::local::cuda
