// What model files call the rules that cut text: patterns in a tokenizer.json, names in a GGUF
// file.
//
// Pure functions, start-up only; any thread.
#pragma once

#include "backends/local/tokenizer/pre_tokenizer.h"

#include <optional>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

// How the models cut text, and what else they do to it, that llama.cpp writes one name for.
struct NamedSplit {
  std::vector<SplitRule> rules;
  bool composes = false;       // Into Unicode's composed form (NFC), before they do.
  bool ignore_merges = false;  // As Vocabulary's.
  bool adds_begin = false;     // Before a plain text, if the file does not say.
};

// Of "tokenizer.ggml.pre"; nothing if the name is not known.
std::optional<NamedSplit> named_split(std::string_view name);

// The rule that a tokenizer.json spells as this pattern; nothing if it is not known.
std::optional<SplitRule> split_rule_of(std::string_view pattern);

}  // namespace spillway::tokenizer
