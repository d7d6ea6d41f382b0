#include "backends/local/cuda/load_cuda_executor.h"

#include "backends/local/cuda/file_weights.h"

#include <algorithm>
#include <cstdint>
#include <cuda_runtime_api.h>
#include <limits>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace spillway::local::cuda {

namespace {

constexpr std::size_t kPartElements = 4 << 20;  // 8 MiB of bf16 on their way to the device.
constexpr int kElementBytes = 2;
constexpr unsigned kThreadsMax = 8;  // Together they copy faster than the bus carries.

// Page tables and the table of angles are as long as the context, so it never exceeds what the
// pages hold.
int usable_context(int context_max, int kv_blocks) {
  const std::int64_t memory = std::int64_t{kv_blocks} * kBlockTokens;
  const std::int64_t asked = context_max > 0 ? context_max : std::numeric_limits<int>::max();
  return static_cast<int>(std::min(memory, asked));
}

// Pinned buffers and a stream for each: while one part is on the bus, other threads convert theirs.
class Upload {
 public:
  explicit Upload(const DecoderWeights& weights) : weights_(weights) {}
  Upload(const Upload&) = delete;
  ~Upload() {
    for (CUstream_st* stream : streams_) cudaStreamDestroy(stream);
  }

  Result<void> prepare(std::size_t threads) {
    auto memory = allocate_pinned(threads * kPartElements * kElementBytes);
    if (!memory) return memory.error();
    memory_ = std::move(*memory);
    streams_.resize(threads);
    FirstError errors;
    for (std::size_t i = 0; i < threads; ++i) {
      buffers_.emplace_back(memory_.get<std::uint16_t>() + i * kPartElements, kPartElements);
      errors.note(cudaStreamCreateWithFlags(&streams_[i], cudaStreamNonBlocking), "making streams");
    }
    return errors.result();
  }

  const std::vector<std::span<std::uint16_t>>& buffers() const { return buffers_; }

  // Any thread, one at a time for a buffer.
  Result<void> copy(const RoomPart& part) const {
    const std::string name(part.room);
    const WeightRoom* room = weights_.find(name);
    const auto count = static_cast<std::int64_t>(part.values.size());
    if (room == nullptr || part.first + count > room->elements) {
      return Error{Errc::internal, "GPU: no room for weights " + name, "", std::nullopt};
    }
    char* to = static_cast<char*>(room->data) + part.first * kElementBytes;
    CUstream_st* stream = streams_[part.buffer];
    int error = cudaMemcpyAsync(to, part.values.data(), part.values.size_bytes(),
                                cudaMemcpyHostToDevice, stream);
    if (error == 0) error = cudaStreamSynchronize(stream);
    if (error != 0) return device_error(error, ("copying weights " + name).c_str());
    return {};
  }

 private:
  const DecoderWeights& weights_;
  PinnedMemory memory_;
  std::vector<std::span<std::uint16_t>> buffers_;
  std::vector<CUstream_st*> streams_;
};

Result<std::unique_ptr<DecoderWeights>> load_weights(const loader::GgufFile& file,
                                                     const ArchSpec& spec,
                                                     const DecoderShape& shape) {
  auto weights = DecoderWeights::allocate(shape);
  if (!weights) return weights;
  Upload upload(**weights);
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 2U, kThreadsMax);
  if (auto prepared = upload.prepare(threads); !prepared) return prepared.error();
  const auto copy = [&](const RoomPart& part) { return upload.copy(part); };
  if (auto read = read_weights(file, spec, upload.buffers(), copy); !read) return read.error();
  return weights;
}

}  // namespace

Result<std::unique_ptr<Executor>> load_cuda_executor(const loader::GgufFile& file,
                                                     const CudaExecutorOptions& options,
                                                     int context_max) {
  const auto spec = read_arch_spec(file);
  if (!spec) return spec.error();
  const auto shape = shape_of(*spec, usable_context(context_max, options.kv_blocks));
  if (!shape) return shape.error();
  if (auto device = check_device(); !device) return device.error();
  auto weights = load_weights(file, *spec, *shape);
  if (!weights) return weights.error();
  return make_cuda_executor(*shape, options, std::move(*weights));
}

}  // namespace spillway::local::cuda
