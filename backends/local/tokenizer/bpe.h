// Byte-pair merging of one piece of text.
//
// Immutable once filled; any thread. The caller's Scratch is reused between pieces so that most
// cost no allocation.
#pragma once

#include "backends/local/tokenizer/spelling.h"
#include "backends/local/tokenizer/tables.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
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

  Bpe(Spelling spelling, MergeTable merges)
      : spelling_(std::move(spelling)), merges_(std::move(merges)) {}

  // Appends the piece's tokens: the merge of lowest rank first, the leftmost of equals. O(n log n).
  void encode(std::string_view piece, Scratch& scratch, std::vector<std::int32_t>& out) const;

 private:
  void merge_few(std::span<const Symbol> symbols, std::vector<std::int32_t>& out) const;
  void consider(std::int32_t position, Scratch& scratch) const;
  void apply(const Candidate& candidate, Scratch& scratch) const;

  Spelling spelling_;
  MergeTable merges_;
};

}  // namespace spillway::tokenizer
