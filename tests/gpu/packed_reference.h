// The weights of fewer bits as a reference takes them: what they count.
#pragma once

#include "tests/gpu/decoder_reference.h"
#include "tests/gpu/e4m3_host.h"

namespace spillway::gpu_test {

inline std::vector<Bf16> values_of_e4m3(const local::cuda::WeightRoom& room) {
  std::vector<std::uint8_t> bytes(room.elements);
  std::vector<float> scales(room.elements / room.columns);
  check(cudaMemcpy(bytes.data(), room.data, bytes.size(), cudaMemcpyDeviceToHost), "weights");
  check(cudaMemcpy(scales.data(), room.scales, scales.size() * 4, cudaMemcpyDeviceToHost),
        "scales");
  std::vector<Bf16> values(bytes.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = Bf16(static_cast<float>(from_e4m3(bytes[i])) * scales[i / room.columns]);
  }
  return values;
}

inline std::vector<Bf16> values_of_integers(const local::cuda::WeightRoom& room) {
  DeviceArray<Bf16> widened(room.elements);
  const int rows = static_cast<int>(room.elements / room.columns);
  const kernels::WidenWeights args = {widened.get(), room.data, room.scales,  0,
                                      rows,          rows,      room.columns, room.format};
  check(spillway_widen_weights(&args, nullptr), "widening");
  return widened.download();
}

inline void take_packed(DecoderReference& reference, const DecoderWeights& weights) {
  for (const auto& room : weights.rooms()) {
    if (room.scales == nullptr) continue;
    reference.replace(
        room.name, room.format == kernels::kE4m3 ? values_of_e4m3(room) : values_of_integers(room));
  }
}

}  // namespace spillway::gpu_test
