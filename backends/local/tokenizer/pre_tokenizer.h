// Cuts text into the pieces that BPE may not merge across.
//
// Pure functions, any thread. Each rule is one published pattern, written by hand over the
// generated character classes (unicode_classes.h) so that it costs a few nanoseconds a byte; the
// rules of a tokenizer apply one after the other, each to the pieces of the one before, as in a
// `tokenizers` Sequence.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

enum class SplitRule {
  each_digit,      // Digits(individual_digits=true): every numeric character on its own.
  gpt2,            // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  llama3,          // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
                   //  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  qwen,            // As llama3, but each \p{N} on its own.
  three_digits,    // \p{N}{1,3}
  chinese_kana,    // [一-龥぀-ゟ゠-ヿ]+
  deepseek_words,  // [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|
                   // [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
                   // \s*[\r\n]+|\s+(?!\S)|\s+
  before_marked_space,  // Every ▁ begins a piece.
};

// The rules behind a GGUF file's "tokenizer.ggml.pre"; nothing if the name is not known.
std::optional<std::vector<SplitRule>> split_rules_of(std::string_view gguf_name);

// The rule that a tokenizer.json spells as this pattern; nothing if it is not known.
std::optional<SplitRule> split_rule_of(std::string_view pattern);

// Where the piece that starts at `begin` ends: > begin. Requires: begin < text.size(). Lookahead
// ends with `text`.
std::size_t piece_end(SplitRule rule, std::string_view text, std::size_t begin);

}  // namespace spillway::tokenizer
