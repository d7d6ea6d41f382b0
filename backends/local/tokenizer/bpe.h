// Byte-pair merging of one piece of text.
//
// Immutable once filled; any thread. The caller's Scratch is reused between pieces so that most
// cost no allocation.
#pragma once

#include "backends/local/tokenizer/tables.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

class Bpe {
 public:
  struct Symbol {
    std::int32_t id;    // -1 once it has been merged into its left neighbour.
    std::int32_t left;  // Index of the neighbour, -1 at either end.
    std::int32_t right;
  };
  struct Candidate {
    Merge merge;
    std::int32_t position;  // Of the left symbol.
    std::int32_t left_id;
    std::int32_t right_id;
  };
  struct Scratch {
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };

  // `byte_ids`: the token of each single byte, -1 if the vocabulary lacks it (such bytes are left
  // out, as the reference does when a model names no unknown token).
  Bpe(const std::array<std::int32_t, 256>& byte_ids, MergeTable merges)
      : byte_ids_(byte_ids), merges_(std::move(merges)) {}

  // Appends the piece's tokens: the merge of lowest rank first, the leftmost of equals. O(n log n).
  void encode(std::string_view piece, Scratch& scratch, std::vector<std::int32_t>& out) const;

 private:
  void consider(std::int32_t position, Scratch& scratch) const;
  void apply(const Candidate& candidate, Scratch& scratch) const;

  std::array<std::int32_t, 256> byte_ids_;
  MergeTable merges_;
};

}  // namespace spillway::tokenizer
