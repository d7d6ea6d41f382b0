#include "backends/local/cuda/load_cuda_executor.h"

#include "backends/local/cuda/decoder_division.h"
#include "backends/local/cuda/file_weights.h"
#include "backends/local/cuda/int4_rows.h"

#include <algorithm>
#include <cstdint>
#include <cuda_runtime_api.h>
#include <functional>
#include <future>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
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

// One after the other; the thread speaks to the first again afterwards.
template <class Work>
Result<void> on_each_device(int devices, Work work) {
  Result<void> result;
  for (int device = 0; device < devices && result; ++device) {
    result = use_device(device);
    if (result) result = work(device);
  }
  const Result<void> back = use_device(0);
  return result ? back : result;
}

// Pinned buffers, and for each a stream to every GPU: while one part is on the bus, other threads
// convert theirs. What is kept in fewer bits is made there of a part in bf16, so that there never
// is more of it. `weights` are of one or more replicas, one behind the other.
class Upload {
 public:
  Upload(const DecoderShape& whole, const RankWeights& weights, int ranks, FourBits four_bits)
      : whole_(whole), weights_(weights), ranks_(ranks), four_bits_(four_bits) {
    for (RoomShape& room : rooms_of(whole)) rooms_.emplace(room.name, room);
  }
  Upload(const Upload&) = delete;
  ~Upload() {
    for (CUstream_st* stream : streams_) cudaStreamDestroy(stream);
  }

  Result<void> prepare(std::size_t threads) {
    auto memory = allocate_pinned(threads * kPartElements * kElementBytes);
    if (!memory) return memory.error();
    memory_ = std::move(*memory);
    for (std::size_t i = 0; i < threads; ++i) {
      buffers_.emplace_back(memory_.get<std::uint16_t>() + i * kPartElements, kPartElements);
    }
    return on_each_device(devices(), [&](int) { return prepare_device(threads); });
  }

  const std::vector<std::span<std::uint16_t>>& buffers() const { return buffers_; }

  // Any thread, one at a time for a buffer.
  Result<void> copy(const RoomPart& part) const {
    const auto room = rooms_.find(part.room);
    if (room == rooms_.end()) return no_room(part);
    for (int device = 0; device < devices(); ++device) {
      if (!part.groups.empty()) {
        if (auto copied = copy_int4(part, device); !copied) return copied;
        continue;
      }
      for (const Cut& cut : cuts_of(whole_, room->second, {device % ranks_, ranks_})) {
        if (auto copied = copy_cut(part, room->second, cut, device); !copied) return copied;
      }
    }
    FirstError errors;
    for (int device = 0; device < devices(); ++device) {
      errors.note(cudaStreamSynchronize(stream(device, part)), "copying weights");
    }
    return errors.result();
  }

 private:
  int devices() const { return static_cast<int>(weights_.size()); }

  Result<void> prepare_device(std::size_t threads) {
    FirstError errors;
    for (std::size_t i = 0; i < threads; ++i) {
      streams_.push_back(nullptr);
      errors.note(cudaStreamCreateWithFlags(&streams_.back(), cudaStreamNonBlocking),
                  "making streams");
      auto memory = allocate_device(kPartElements * kElementBytes);
      if (!memory) return memory.error();
      unpacked_.push_back(std::move(*memory));
    }
    return errors.result();
  }

  std::size_t index(int device, const RoomPart& part) const {
    return static_cast<std::size_t>(device) * buffers_.size() + part.buffer;
  }
  CUstream_st* stream(int device, const RoomPart& part) const {
    return streams_[index(device, part)];
  }

  static Error no_room(const RoomPart& part) {
    return {Errc::internal, "GPU: no room for weights " + std::string(part.room), "", std::nullopt};
  }

  // What of the part, which is of whole rows, is in the cut.
  Result<void> copy_cut(const RoomPart& part, const RoomShape& room, const Cut& cut,
                        int device) const {
    const std::int64_t first = part.first / room.columns;
    const std::int64_t end = first + static_cast<std::int64_t>(part.values.size()) / room.columns;
    const std::int64_t begin = std::max(first, cut.first_row);
    const std::int64_t rows = std::min(end, cut.first_row + cut.rows) - begin;
    if (rows <= 0) return {};
    const WeightRoom* to = weights_[static_cast<std::size_t>(device)]->find(room.name);
    const std::int64_t to_element = (cut.to_row + begin - cut.first_row) * cut.columns;
    if (to == nullptr || to_element + rows * cut.columns > to->elements) return no_room(part);
    const std::int64_t from_element = (begin - first) * room.columns + cut.first_column;
    const bool in_one = cut.columns == room.columns;  // Whole rows lie one behind the other.
    const std::int64_t lines = in_one ? 1 : rows;
    const std::size_t line_bytes = bytes_of(rows * cut.columns / lines);
    const bool packed = to->format != kernels::kBf16;
    char* const there = packed ? unpacked_[index(device, part)].get<char>()
                               : static_cast<char*>(to->data) + to_element * kElementBytes;
    FirstError errors;
    errors.note(cudaMemcpy2DAsync(there, line_bytes, part.values.data() + from_element,
                                  in_one ? line_bytes : bytes_of(room.columns), line_bytes,
                                  static_cast<std::size_t>(lines), cudaMemcpyHostToDevice,
                                  stream(device, part)),
                "copying weights");
    if (packed) {
      if (auto used = use_device(device); !used) return used;
      pack_rows(*to, to_element / cut.columns, static_cast<int>(rows), there, stream(device, part),
                errors);
    }
    return errors.result();
  }

  // Whole rows, which every GPU has all of.
  Result<void> copy_int4(const RoomPart& part, int device) const {
    const WeightRoom* to = weights_[static_cast<std::size_t>(device)]->find(part.room);
    if (to == nullptr || !kernels::is_int4(to->format)) return no_room(part);
    const Int4Row row = int4_row(*four_bits_, to->columns);
    const std::int64_t first = part.first / to->columns;
    const auto all_rows = static_cast<std::size_t>(to->elements / to->columns);
    const std::size_t line_bytes = part.groups.size() / static_cast<std::size_t>(row.groups);
    FirstError errors;
    errors.note(
        cudaMemcpyAsync(static_cast<char*>(to->data) + first * row.code_bytes, part.values.data(),
                        part.values.size_bytes(), cudaMemcpyHostToDevice, stream(device, part)),
        "copying weights");
    errors.note(
        cudaMemcpy2DAsync(static_cast<char*>(to->scales) + first * row.group_bytes,
                          all_rows * static_cast<std::size_t>(row.group_bytes), part.groups.data(),
                          line_bytes, line_bytes, static_cast<std::size_t>(row.groups),
                          cudaMemcpyHostToDevice, stream(device, part)),
        "copying weights");
    return errors.result();
  }

  static std::size_t bytes_of(std::int64_t elements) {
    return static_cast<std::size_t>(elements) * kElementBytes;
  }

  const DecoderShape& whole_;
  const RankWeights& weights_;
  const int ranks_;
  const FourBits four_bits_;
  std::map<std::string, RoomShape, std::less<>> rooms_;
  PinnedMemory memory_;
  std::vector<std::span<std::uint16_t>> buffers_;
  std::vector<CUstream_st*> streams_;  // Of each GPU, of each buffer; so are parts in bf16.
  std::vector<DeviceMemory> unpacked_;
};

Result<RankWeights> load_weights(const loader::ModelFile& file, const ArchSpec& spec,
                                 const DecoderShape& shape, Replication replication,
                                 Precision precision, const FourBits& four_bits) {
  const int ranks = replication.gpus_each;
  const kernels::WeightFormat layers = four_bits ? format_of(*four_bits) : format_of(precision);
  RankWeights weights;
  auto allocated = on_each_device(replication.replicas * ranks, [&](int device) -> Result<void> {
    auto own = DecoderWeights::allocate(shape_of(shape, {device % ranks, ranks}), layers);
    if (!own) return own.error();
    weights.push_back(std::move(*own));
    return {};
  });
  if (!allocated) return allocated.error();
  Upload upload(shape, weights, ranks, four_bits);
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 2U, kThreadsMax);
  if (auto prepared = upload.prepare(threads); !prepared) return prepared.error();
  const auto copy = [&](const RoomPart& part) { return upload.copy(part); };
  if (auto read = read_weights(file, spec, upload.buffers(), copy, four_bits); !read) {
    return read.error();
  }
  return weights;
}

// All at once: each measures its products and captures its graphs.
Result<std::vector<std::unique_ptr<Executor>>> make_replicas(const DecoderShape& shape,
                                                             const CudaExecutorOptions& options,
                                                             int ranks, RankWeights weights) {
  std::vector<std::future<Result<std::unique_ptr<Executor>>>> starting;
  for (std::size_t first = 0; first < weights.size(); first += static_cast<std::size_t>(ranks)) {
    CudaExecutorOptions own = options;
    own.first_device = static_cast<int>(first);
    RankWeights share(std::make_move_iterator(weights.begin() + own.first_device),
                      std::make_move_iterator(weights.begin() + own.first_device + ranks));
    starting.push_back(
        std::async(std::launch::async, [&shape, own, share = std::move(share)]() mutable {
          return make_cuda_executor(shape, own, std::move(share));
        }));
  }
  std::vector<std::unique_ptr<Executor>> executors;
  std::optional<Error> problem;
  for (auto& replica : starting) {
    auto executor = replica.get();
    if (executor) {
      executors.push_back(std::move(*executor));
    } else if (!problem) {
      problem = executor.error();
    }
  }
  if (problem) return *problem;
  return executors;
}

}  // namespace

Result<std::vector<std::unique_ptr<Executor>>> load_cuda_executors(
    const loader::ModelFile& file, const CudaExecutorOptions& options, int context_max,
    Replication replication) {
  const auto spec = read_arch_spec(file);
  if (!spec) return spec.error();
  const auto shape = shape_of(*spec, usable_context(context_max, options.kv_blocks));
  if (!shape) return shape.error();
  const int ranks = replication.gpus_each;
  if (auto divides = check_division(*shape, ranks); !divides) return divides.error();
  if (auto devices = check_devices(replication.replicas, ranks); !devices) return devices.error();
  const bool asked = options.precision == Precision::int4;
  auto weights = load_weights(file, *spec, *shape, replication, options.precision,
                              asked ? kept_four_bits(file, *spec, ranks) : FourBits());
  if (!weights) return weights.error();
  return make_replicas(*shape, options, ranks, std::move(*weights));
}

Result<std::unique_ptr<Executor>> load_cuda_executor(const loader::ModelFile& file,
                                                     const CudaExecutorOptions& options,
                                                     int context_max) {
  auto executors = load_cuda_executors(file, options, context_max, {});
  if (!executors) return executors.error();
  return std::move(executors->front());
}

}  // namespace spillway::local::cuda
