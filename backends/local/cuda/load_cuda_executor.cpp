#include "backends/local/cuda/load_cuda_executor.h"

#include "backends/local/cuda/file_weights.h"

#include <algorithm>
#include <cstdint>
#include <cuda_runtime_api.h>
#include <limits>
#include <string>

namespace spillway::local::cuda {

namespace {

constexpr std::int64_t kPartElements = 4 << 20;  // 8 MiB of bf16 on their way to the device.
constexpr int kElementBytes = 2;

// Page tables and the table of angles are as long as the context, so it never exceeds what the
// pages hold.
int usable_context(int context_max, int kv_blocks) {
  const std::int64_t memory = std::int64_t{kv_blocks} * kBlockTokens;
  const std::int64_t asked = context_max > 0 ? context_max : std::numeric_limits<int>::max();
  return static_cast<int>(std::min(memory, asked));
}

Result<void> copy_part(const RoomPart& part, const DecoderWeights& weights) {
  const WeightRoom* room = weights.find(part.room);
  const auto count = static_cast<std::int64_t>(part.values.size());
  if (room == nullptr || part.first + count > room->elements) {
    return Error{Errc::internal, "GPU: no room for weights " + std::string(part.room), "",
                 std::nullopt};
  }
  char* to = static_cast<char*>(room->data) + part.first * kElementBytes;
  FirstError errors;
  errors.note(cudaMemcpy(to, part.values.data(), part.values.size_bytes(), cudaMemcpyHostToDevice),
              "copying weights");
  return errors.result();
}

Result<std::unique_ptr<DecoderWeights>> load_weights(const loader::GgufFile& file,
                                                     const ArchSpec& spec,
                                                     const DecoderShape& shape) {
  auto weights = DecoderWeights::allocate(shape);
  if (!weights) return weights;
  const auto copy = [&](const RoomPart& part) { return copy_part(part, **weights); };
  if (auto read = read_weights(file, spec, kPartElements, copy); !read) return read.error();
  FirstError errors;
  errors.note(cudaDeviceSynchronize(), "copying weights");
  if (!errors.none()) return errors.result().error();
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
