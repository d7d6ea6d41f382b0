// A model file's tensors as the GPU decoder wants them: bf16, or a file's own four bits, rows of q,
// k and v in one room and of gate and up in another, and the rows of a head in the order in which
// halves are rotated.
//
// Needs no GPU: who takes the parts is the caller's business. Start-up only, any thread; has
// threads of its own during the call.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/arch/arch_spec.h"
#include "backends/local/loader/model_file.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

namespace spillway::local::cuda {

using FourBits = std::optional<loader::FourBitGroups>;

// The file's own four bits, where the layers' matrices can stay in them: those of a dense model on
// one GPU.
FourBits kept_four_bits(const loader::ModelFile& file, const ArchSpec& spec, int gpus);

// Consecutive elements of a room of rooms_of; valid during the call.
struct RoomPart {
  std::string_view room;
  std::int64_t first = 0;                 // Element of the room that the part begins with.
  std::span<const std::uint16_t> values;  // Bits of bf16, at the front of a buffer…
  std::size_t buffer = 0;                 // …of this index, which is in use until the call ends.
  // Of whole rows in four bits, whose codes are the values: [groups, rows] as of int4_row.
  std::span<const std::byte> groups = {};
};

using PartSink = std::function<Result<void>(const RoomPart&)>;

// Gives every element of every room to `sink` once, in parts that fill a buffer at most. Each
// buffer has a thread, so parts come in any order and the sink is called by several at once. Stops
// at the sink's first error. invalid_request names a tensor that is missing, has another shape than
// the file's metadata say, has rows that no buffer holds, or is none that this decoder reads; the
// sink is not called then. `four_bits`: those of the file, in which the layers' matrices stay.
Result<void> read_weights(const loader::ModelFile& file, const ArchSpec& spec,
                          std::span<const std::span<std::uint16_t>> buffers, const PartSink& sink,
                          const FourBits& four_bits = std::nullopt);

// The nearest bf16, even among equals; NaN stays NaN.
std::uint16_t to_bf16(float value);

}  // namespace spillway::local::cuda
