// DeepSeek's matrix of keys and values, taken apart into what its attention multiplies with.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/model_file.h"

#include <string>

namespace spillway::loader {

// attn_kv_b.weight of each layer ([heads of key rows, then value rows] x latent) becomes attn_v_b
// (heads x value x latent, in place) and attn_k_b (heads x latent x key, turned over, in bytes of
// its own). `prefix` is that of the metadata's keys. An error names the tensor.
Result<void> split_latent_tensors(const std::string& prefix, ModelContents& contents);

}  // namespace spillway::loader
