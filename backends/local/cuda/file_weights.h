// A model file's tensors as the GPU decoder wants them: bf16, rows of q, k and v in one room and of
// gate and up in another, and the rows of a head in the order in which halves are rotated.
//
// Needs no GPU: who takes the parts is the caller's business. Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/arch/arch_spec.h"
#include "backends/local/loader/gguf.h"

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace spillway::local::cuda {

// Consecutive elements of a room of rooms_of; valid during the call.
struct RoomPart {
  std::string_view room;
  std::int64_t first = 0;                 // Element of the room that the part begins with.
  std::span<const std::uint16_t> values;  // Bits of bf16.
};

using PartSink = std::function<Result<void>(const RoomPart&)>;

// Gives every element of every room to `sink` once, in parts of at most `part_elements_max` (or one
// row, if that is more). Stops at the sink's first error. invalid_request names a tensor that is
// missing, has another shape than the file's metadata say, or is none that this decoder reads.
Result<void> read_weights(const loader::GgufFile& file, const ArchSpec& spec,
                          std::int64_t part_elements_max, const PartSink& sink);

// The nearest bf16, even among equals; NaN stays NaN.
std::uint16_t to_bf16(float value);

}  // namespace spillway::local::cuda
