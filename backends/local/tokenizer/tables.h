// The two lookups that encoding lives on, as flat open-addressing tables that are filled once and
// then only read.
//
// Thread-compatible: any number of readers after the last insert. They own their slots, nothing
// else.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

struct Merge {
  std::uint32_t rank = std::numeric_limits<std::uint32_t>::max();  // The maximum: no such merge.
  std::int32_t result = -1;

  bool exists() const { return result >= 0; }
};

// Which token two neighbouring tokens merge into, and how early.
class MergeTable {
 public:
  explicit MergeTable(std::size_t merges)
      : slots_(std::bit_ceil(2 * merges + 2)), shift_(64 - std::countr_zero(slots_.size())) {}

  // Keeps the first merge of a pair. Requires: at most as many inserts as announced.
  void insert(std::int32_t left, std::int32_t right, Merge merge) {
    Slot& slot = slots_[index_of(key_of(left, right))];
    if (!slot.merge.exists()) slot = {key_of(left, right), merge};
  }

  Merge find(std::int32_t left, std::int32_t right) const {
    return slots_[index_of(key_of(left, right))].merge;
  }

 private:
  struct Slot {
    std::uint64_t key = 0;
    Merge merge;
  };

  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }

  // The key's slot, or the empty one where it would go.
  std::size_t index_of(std::uint64_t key) const {
    std::size_t index = key * 0x9E3779B97F4A7C15U >> shift_;
    while (slots_[index].merge.exists() && slots_[index].key != key) {
      index = (index + 1) & (slots_.size() - 1);
    }
    return index;
  }

  std::vector<Slot> slots_;
  int shift_;
};

// Which token a whole piece of text is, if it is one.
class PieceTable {
 public:
  explicit PieceTable(std::size_t pieces) : slots_(std::bit_ceil(2 * pieces + 2)) {}

  // Refers to the text, which must outlive the table. Requires: at most as many inserts as
  // announced.
  void insert(std::string_view piece, std::int32_t id) {
    Slot& slot = slots_[index_of(piece)];
    if (slot.id < 0) slot = {piece, id};
  }

  // -1 if the piece is no token.
  std::int32_t find(std::string_view piece) const { return slots_[index_of(piece)].id; }

 private:
  struct Slot {
    std::string_view piece;
    std::int32_t id = -1;
  };

  // Eight bytes a round, multiply and fold: pieces are short and come from no attacker's table.
  static std::uint64_t hash_of(std::string_view piece) {
    std::uint64_t hash = piece.size();
    while (!piece.empty()) {
      std::uint64_t word = 0;
      std::memcpy(&word, piece.data(), piece.size() < 8 ? piece.size() : 8);
      hash = (hash ^ word) * 0x9E3779B97F4A7C15U;
      hash ^= hash >> 32;
      piece.remove_prefix(piece.size() < 8 ? piece.size() : 8);
    }
    return hash;
  }

  std::size_t index_of(std::string_view piece) const {
    std::size_t index = hash_of(piece) & (slots_.size() - 1);
    while (slots_[index].id >= 0 && slots_[index].piece != piece) {
      index = (index + 1) & (slots_.size() - 1);
    }
    return index;
  }

  std::vector<Slot> slots_;
};

}  // namespace spillway::tokenizer
