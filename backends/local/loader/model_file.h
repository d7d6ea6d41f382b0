// A model as it lies on disk: what it says of itself, and its tensors, mapped and checked.
//
// Two kinds are read, and look alike afterwards, by GGUF's names for both keys and tensors
// ("llama.block_count", "blk.0.attn_q.weight"): a GGUF file (gguf.h), and a folder as Hugging Face
// publishes models (hugging_face.h). `open` checks every count, length and offset against the
// file's size before it is used: a damaged or hostile file is an error that says what is wrong and
// where, never a crash, and memory taken is at most a small multiple of the files' headers.
// Afterwards the object is immutable and any thread may read it. It owns the mappings; Tensors and
// string_views from it die with it (moving it is fine).
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/mapped_file.h"
#include "backends/local/loader/metadata.h"
#include "backends/local/loader/tensor.h"

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace spillway::loader {

// Rows of a head's queries and keys. GGUF files of Llama's architecture (also Mistral and SmolLM)
// store them for a rope that rotates neighbouring pairs (x[2i], x[2i+1]); Hugging Face's, and all
// other GGUF files, for one that rotates halves (x[i], x[i + d/2]). Row r of a head of d rows is in
// the former what row (r % 2) * d/2 + r / 2 is in the latter. This room hands out what is there.
enum class RopeRows { halves, pairs };

// How matrices of four bits share what is more than their codes: so many columns of a row, 32, 64
// or 128, have a scale, and a zero point if they are fewer than 128 or not all zero points are 8.
struct FourBitGroups {
  int columns = 128;
  bool zeros = false;
};

// What a reader found.
struct ModelContents {
  std::vector<MappedFile> files;
  std::deque<std::vector<std::byte>> made;  // Bytes of tensors that no file has as they are needed.
  Metadata metadata;
  std::vector<Tensor> tensors;
  RopeRows rope_rows = RopeRows::halves;
  bool norms_less_one = false;  // Gemma's folders: what norms multiply by is one more.
  std::optional<FourBitGroups> four_bits;
  std::string folder;  // Where tokenizer.json is; empty: the metadata has it all.
};

// What of quantized matrices of a folder is wanted: to turn them into a type that executors read
// takes seconds and their size in memory.
enum class Bytes { all, as_they_lie };

class ModelFile {
 public:
  // Of a GGUF file or a folder, whichever `path` is. as_they_lie: everything is checked, but
  // tensors that no file has as they are needed have no bytes, and must not be read.
  static Result<ModelFile> open(const std::string& path, Bytes bytes = Bytes::all);

  // An error names a tensor that appears twice.
  static Result<ModelFile> make(ModelContents contents);

  // Everything the model says about itself, by key.
  const Metadata& metadata() const { return contents_.metadata; }

  // In the file's order.
  const std::vector<Tensor>& tensors() const { return contents_.tensors; }

  // Null if there is no such tensor.
  const Tensor* find(std::string_view name) const;

  // As find, but a missing tensor is an error that names it.
  Result<const Tensor*> require(std::string_view name) const;

  RopeRows rope_rows() const { return contents_.rope_rows; }
  bool norms_less_one() const { return contents_.norms_less_one; }
  // All matrices of its layers are Q4_0 or Q4_1 with whole zero points, in such groups: precision
  // int4 keeps them as they are.
  const std::optional<FourBitGroups>& four_bits() const { return contents_.four_bits; }
  const std::string& folder() const { return contents_.folder; }

 private:
  explicit ModelFile(ModelContents contents) : contents_(std::move(contents)) {}

  ModelContents contents_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
};

}  // namespace spillway::loader
