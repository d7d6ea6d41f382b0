// Cuts text into the pieces that BPE may not merge across.
//
// Pure functions, any thread. Each known rule is one published pattern, written by hand over the
// generated character classes (unicode_classes.h) so that it costs a few nanoseconds a byte; the
// rules of a tokenizer apply one after the other, each to the pieces of the one before, as in a
// `tokenizers` Sequence.
#pragma once

#include "backends/local/tokenizer/class_run.h"

#include <cstddef>
#include <string_view>
#include <variant>

namespace spillway::tokenizer {

enum class KnownSplit {
  each_digit,       // Digits(individual_digits=true): every numeric character on its own.
  gpt2,             // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  llama3,           // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
                    //  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  qwen,             // As llama3, but each \p{N} on its own.
  tekken,           // [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|
                    // the same with * and + exchanged|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|
                    // \s*[\r\n]+|\s+(?!\S)|\s+
  deepseek_words,   // [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|
                    // [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
                    // \s*[\r\n]+|\s+(?!\S)|\s+
  line_end_spaces,  // \s+$
  before_marked_space,  // Every ▁ begins a piece.
};

using SplitRule = std::variant<KnownSplit, ClassRun>;

// Where the piece that starts at `begin` ends: > begin. Requires: begin < text.size(). Lookahead
// ends with `text`.
std::size_t piece_end(const SplitRule& rule, std::string_view text, std::size_t begin);

}  // namespace spillway::tokenizer
