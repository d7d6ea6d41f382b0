// From an encoder's folder to what computes it, on LibTorch.
//
// Start-up only, any thread. Without torch in this header, so that who uses it needs none.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/encoder/encoder.h"
#include "backends/local/loader/encoder_folder.h"

#include <memory>

namespace spillway::local {

// Copies the weights in fp32; the folder may be closed afterwards. `threads` compute a batch, the
// one that calls included. Errors name the tensor that is missing or of another shape.
Result<std::unique_ptr<Encoder>> load_encoder(const loader::EncoderFolder& folder, int threads);

}  // namespace spillway::local
