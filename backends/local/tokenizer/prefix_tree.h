// Where texts lead that begin alike, byte by byte: finds the tokens that a text begins with.
//
// Immutable once filled; any thread. Takes a step of one lookup a byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

class PrefixTree {
 public:
  // What all tokens may be long together.
  static constexpr std::size_t kBytesMax = (1 << 24) - 256;

  // Several trees in one, told apart by their roots: 0, 1, …
  explicit PrefixTree(int roots = 1);

  // The last one of a text counts.
  void add(std::int32_t root, std::string_view text, std::int32_t id);

  struct Match {
    std::int32_t id = -1;
    std::size_t length = 0;  // 0: there is none.
  };
  Match longest(std::int32_t root, std::string_view text) const {
    Match match;
    each(root, text, [&](std::int32_t id, std::size_t length) { match = {id, length}; });
    return match;
  }

  // Calls found(id, length) for each token that `text` begins with, the shortest first.
  template <class Found>
  void each(std::int32_t root, std::string_view text, const Found& found) const {
    std::int32_t node = root;
    for (std::size_t at = 0; at < text.size();) {
      node = child(node, text[at++]);
      if (node == 0) break;
      if (ends_[node] >= 0) found(ends_[node], at);
    }
  }

 private:
  struct Slot {
    std::uint32_t key = 0;  // Node and byte; 0: free, as no node leads to a root.
    std::int32_t node = 0;
  };

  // One more than the node: the roots' children have keys, too.
  static std::uint32_t key_of(std::int32_t node, char byte) {
    return static_cast<std::uint32_t>(node + 1) << 8 | static_cast<unsigned char>(byte);
  }
  std::size_t place_of(std::uint32_t key) const {
    std::size_t place = (key * 0x9E3779B1U >> 7) & (slots_.size() - 1);
    while (slots_[place].key != 0 && slots_[place].key != key)
      place = (place + 1) & (slots_.size() - 1);
    return place;
  }
  std::int32_t child(std::int32_t node, char byte) const {  // 0: none.
    return slots_[place_of(key_of(node, byte))].node;
  }
  std::int32_t make_child(std::int32_t node, char byte);
  void grow();

  std::vector<std::int32_t> ends_;  // By node: the token that ends there, or -1.
  std::vector<Slot> slots_;
  std::size_t taken_ = 0;
};

}  // namespace spillway::tokenizer
