// A decoder described by data: everything that differs from one Llama-like model to the next.
//
// A plain value read from a model file's metadata, and from which tensors it has. Llama (and
// Mistral and SmolLM, whose files say the same), Qwen2 and Qwen3.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/gguf.h"

#include <cstdint>
#include <string>
#include <vector>

namespace spillway::local {

struct ArchSpec {
  std::string name;  // general.architecture
  int layers = 0;
  int width = 0;  // Of the residual stream.
  int feed_forward_width = 0;
  int query_heads = 0;
  int kv_heads = 0;
  int head_width = 0;
  int vocabulary = 0;
  int context_max = 0;
  double norm_epsilon = 0.0;
  std::vector<double> inverse_frequencies;  // Of rope, head_width / 2 of them, scaling included.
  bool head_is_embedding = false;           // The output matrix is the embedding table.
  bool interleaved_rope_rows = false;       // Rows of q and k stand as GGUF's llama order them.
  bool qkv_bias = false;                    // Qwen2
  bool head_norms = false;                  // Qwen3: an RMS norm of every q and k head
};

// invalid_request says which key is missing or not supported.
Result<ArchSpec> read_arch_spec(const loader::GgufFile& file);

// Where row i of one head stands in the file if its rows are interleaved: the model rotates halves.
// `heads` heads of `head_width` rows.
std::vector<std::int64_t> halves_from_pairs(int heads, int head_width);

}  // namespace spillway::local
