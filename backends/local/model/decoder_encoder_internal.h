// A decoder as an encoder: the hidden states behind its last norm make the vector of a text.
//
// See Encoder and load_encoder.h for threads.
#pragma once

#include "backends/local/encoder/encoder.h"
#include "backends/local/loader/encoder_folder.h"

#include <memory>

namespace spillway::local {

// Requires: the folder is a decoder's.
Result<std::unique_ptr<Encoder>> load_decoder_encoder(const loader::EncoderFolder& folder,
                                                      int threads);

}  // namespace spillway::local
