// Embeddings as clients want them: lists of numbers, or base64 of little-endian floats of 32 bits.
// Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace spillway::openai {

enum class Encoding { as_it_comes, numbers, base64 };

// Rewrites an answer of embeddings, piece by piece and without parsing it as a whole: it may have
// tens of megabytes.
class EmbeddingText {
 public:
  // Requires: `answer` is JSON. Of an object, its `model` will be `model`, and every
  // data[].embedding in that encoding; what is none stays as it is.
  EmbeddingText(std::string answer, std::string model, Encoding encoding)
      : text_(std::move(answer)), model_(std::move(model)), encoding_(encoding) {}

  // Takes well under a millisecond, but for an embedding that does not; false once all is written.
  bool step();
  std::string take() { return std::move(out_); }

 private:
  void take_string();
  void take_model(std::size_t value);
  void take_embedding();
  void copy_to(std::size_t end);
  std::size_t past_string(std::size_t at) const;
  std::size_t past_blanks(std::size_t at) const;

  const std::string text_;
  const std::string model_;
  const Encoding encoding_;
  std::string out_;
  std::size_t at_ = 0;  // All before is written.
  int depth_ = 0;
  bool in_data_ = false;
};

}  // namespace spillway::openai
