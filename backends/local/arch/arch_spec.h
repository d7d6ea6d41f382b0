// A decoder described by data: everything that differs from one Llama-like model to the next.
//
// A plain value read from a model file's metadata, and from which tensors it has. Llama (and
// Mistral and SmolLM, whose files say the same), Qwen2, Qwen3 with and without experts, Gemma 2 and
// 3, and DeepSeek-V2 and later.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/model_file.h"

#include <cstdint>
#include <string>
#include <vector>

namespace spillway::local {

// DeepSeek's attention (MLA): what keys and values of all heads are made of is one row a token.
struct LatentAttention {
  int width = 0;        // Of that row; 0: heads have keys and values of their own.
  int rope_width = 0;   // Of the rotated part of queries and keys; all heads' keys share theirs.
  int key_width = 0;    // Of a head's key and query, without the rotated part.
  int value_width = 0;  // Of a head.
  int query_width = 0;  // Of the row that queries are made of; 0: the residual stream.
  double score_gain = 1.0;  // Of scores, beside 1 / sqrt(key_width + rope_width) (yarn).

  bool used() const { return width > 0; }
  int line_width() const { return width + rope_width; }  // What the KV cache keeps of a token.
};

// Feed forward layers of which a token takes a few.
struct Experts {
  int count = 0;  // 0: every layer is dense.
  int chosen = 0;
  int shared = 0;        // Beside the chosen ones, taken by every token.
  int width = 0;         // Of the feed forward of one.
  int dense_layers = 0;  // The first.
  int groups = 1;        // Of which only the best `groups_taken` are chosen from.
  int groups_taken = 1;
  bool sigmoid = false;     // Scores are sigmoids, not a softmax.
  bool biased = false;      // A bias on scores chooses, but does not weigh.
  bool normalised = false;  // Weights of those chosen add up to 1, before `scale`.
  double scale = 1.0;

  bool used() const { return count > 0; }
};

// Layers that see but the last few positions (Mistral, Gemma).
struct Windows {
  int width = 0;  // Positions that such a layer sees, its own included; 0: there are none.
  std::vector<bool> of_layers;              // Which layers are such.
  std::vector<double> inverse_frequencies;  // Of these layers, where others have their own.

  bool holds(int layer) const { return width > 0 && of_layers[static_cast<std::size_t>(layer)]; }
};

// What only Gemma does.
struct Gemma {
  bool used = false;            // GELU gates, embeddings grow, and what a layer adds is normed.
  bool norms_less_one = false;  // The file has of each norm's weights what they are more than 1.
  double embedding_gain = 1.0;
  double score_cap = 0.0;  // cap · tanh(score / cap); 0: scores are as they are.
  double logit_cap = 0.0;
};

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
  double rope_gain = 1.0;                   // Cosines and sines are multiplied by it (yarn).
  bool interleaved_rope_rows = false;       // Rows of q and k stand as GGUF's llama order them.
  bool qkv_bias = false;                    // Qwen2
  bool attention_out_bias = false;          // Llamas with attention_bias
  bool head_norms = false;                  // Qwen3: an RMS norm of every q and k head
  double score_width = 0.0;  // Scores are divided by its root: that of a head, if not Gemma.
  Windows windows;
  Gemma gemma;
  // With it, head_width is that of a head's value, and frequencies are of the rotated part's pairs
  // (2i, 2i + 1).
  LatentAttention latent;
  Experts experts;

  // Numbers that the KV cache keeps of a token in a layer.
  int kv_token_width() const {
    return latent.used() ? latent.line_width() : 2 * kv_heads * head_width;
  }
};

// invalid_request says which key is missing or not supported.
Result<ArchSpec> read_arch_spec(const loader::ModelFile& file);

// Where row i of one head stands in the file if its rows are interleaved: the model rotates halves.
// `heads` heads of `head_width` rows.
std::vector<std::int64_t> halves_from_pairs(int heads, int head_width);

}  // namespace spillway::local
