// A model's folder as Hugging Face publishes it: config.json, and model.safetensors or its shards.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/model_file.h"

#include <string>

namespace spillway::loader {

// Keys and tensors under GGUF's names: experts are stacked, and DeepSeek's kv_b_proj becomes the
// attn_k_b and attn_v_b that its attention needs. Errors name the file, and the key, the tensor or
// the byte. A tensor that is not known is one: a part of the model would silently be left out.
// Matrices that are quantized (GPTQ, AWQ, compressed-tensors, fp8) become one tensor each, of a
// type that dequantize reads; `bytes` as in ModelFile::open.
Result<ModelContents> read_folder(const std::string& path, Bytes bytes);

}  // namespace spillway::loader
