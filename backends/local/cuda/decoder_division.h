// How a decoder is divided among GPUs that compute each layer together: heads, feed forward, the
// inside of every expert and vocabulary are dealt out by rows, and what the ranks' results are
// added up by (attention_out, down, expert_down) by columns; embedding, norms, latent rows and
// routers are everyone's, and of fewer key heads than ranks each is several ranks'. Pure functions;
// no CUDA.
#pragma once

#include "backends/local/cuda/decoder_shape.h"

#include <string_view>

namespace spillway::local::cuda {

// invalid_request: so many ranks cannot share this decoder; the message names those that can.
Result<void> check_division(const DecoderShape& whole, int ranks);

// What one rank computes. Requires: check_division.
DecoderShape shape_of(const DecoderShape& whole, Share share);

// Numbers of weights that the ranks keep together beyond those of the whole: of what is everyone's.
// Requires: check_division.
std::int64_t repeated_weights(const DecoderShape& whole, int ranks);

// A rectangle of a room of the whole decoder, and where it lies in the rank's room, whose rows are
// as long as the rectangle's.
struct Cut {
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  int first_column = 0;
  int columns = 0;
  std::int64_t to_row = 0;
};

// What of a room of rooms_of(whole) is the rank's.
std::vector<Cut> cuts_of(const DecoderShape& whole, const RoomShape& room, Share share);

}  // namespace spillway::local::cuda
