// The folder of a model that makes one vector of a text, as Hugging Face and sentence-transformers
// publish it: an encoder of BERT's kind or RoBERTa's, or a decoder.
//
// Start-up only, any thread. Owns the mappings that its tensors point into.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/mapped_file.h"
#include "backends/local/loader/model_file.h"
#include "backends/local/loader/tensor.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace spillway::loader {

// Which hidden states make the vector.
enum class Pooling { first_token, last_token, mean };

struct EncoderSpec {
  std::int64_t vocabulary = 0;
  std::int64_t width = 0;
  std::int64_t tokens_max = 0;  // Of an input, the frame included.
  Pooling pooling = Pooling::first_token;
  bool normalizes = false;  // The vector has length 1.
  bool shortens = false;    // Its first numbers are a vector, too (matryoshka).
  // The rest is of encoders alone.
  std::int64_t inner_width = 0;  // Of the feed forward.
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t positions = 0;
  std::int64_t first_position = 0;  // Of a text's first token; those before are never used.
  std::int64_t token_types = 0;
  double norm_epsilon = 1e-12;
  bool gelu_by_tanh = false;
};

struct EncoderFolder {
  EncoderSpec spec;
  std::string tokenizer;                  // tokenizer.json, whole.
  std::optional<ModelFile> decoder;       // Or else an encoder's:
  std::map<std::string, Tensor> tensors;  // Without the prefix that some files have ("bert.").
  std::vector<MappedFile> files;
};

// What modules.json says of pooling and normalising holds; without it the mean of all tokens is
// taken, as sentence-transformers does. Errors name the file and the key.
Result<EncoderFolder> read_encoder_folder(const std::string& path);

}  // namespace spillway::loader
