// Names of tensors in Hugging Face's folders, and GGUF's names for the same.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::loader {

struct TensorPlace {
  std::string name;          // GGUF's; empty: the decoder does without it.
  int layer = -1;            // -1: of no layer.
  std::int64_t expert = -1;  // Which part of a stack; -1: the tensor is all of it.
};

// Nothing if the name is not known. `post_norms`: the model also norms what a layer adds (Gemma).
std::optional<TensorPlace> place_of(std::string_view name, bool post_norms);

}  // namespace spillway::loader
