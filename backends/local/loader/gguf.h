// A GGUF file (version 2 or 3, little-endian): its metadata and its tensors, mapped and checked.
//
// `open` reads the header and the tables and checks every count, length and offset against the
// file's size before it uses them: a damaged or hostile file is an error that says what is wrong
// and at which byte, never a crash, and memory taken is at most a small multiple of the file's
// header. Afterwards the object is immutable and any thread may read it. It owns the mapping;
// Tensors and string_views from it die with it (moving it is fine).
//
// Rows of attention weights: files of Llama-architecture models ("general.architecture" = llama,
// also Mistral and SmolLM) store attn_q and attn_k with the rows of each head permuted, for a rope
// that rotates neighbouring pairs (x[2i], x[2i+1]). Hugging Face checkpoints rotate halves (x[i],
// x[i + d/2]). Row r of a head of d rows in the file is row (r % 2) * d/2 + r / 2 of the
// checkpoint. This room hands out what the file has: the model either ropes neighbouring pairs or
// takes rows in that order. Qwen and DeepSeek files are not permuted.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/mapped_file.h"
#include "backends/local/loader/metadata.h"
#include "backends/local/loader/tensor.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace spillway::loader {

class GgufFile {
 public:
  // Maps and checks the file at `path`.
  static Result<GgufFile> open(const std::string& path);

  // Everything the file says about the model, by key ("llama.block_count",
  // "tokenizer.ggml.tokens").
  const Metadata& metadata() const { return metadata_; }

  // In the file's order.
  const std::vector<Tensor>& tensors() const { return tensors_; }

  // Null if the file has no such tensor.
  const Tensor* find(std::string_view name) const;

  // As find, but a missing tensor is an error that names it.
  Result<const Tensor*> require(std::string_view name) const;

 private:
  explicit GgufFile(MappedFile file) : file_(std::move(file)) {}
  Result<void> parse();

  MappedFile file_;
  Metadata metadata_;
  std::vector<Tensor> tensors_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
};

}  // namespace spillway::loader
