// YAML text as a plain tree with the place of every value: the one file pair that reads YAML.
//
// Safe on hostile input: control characters, broken UTF-8, anchors and aliases, depth over 32, more
// than 20,000 values and a second document are problems, not work. Pure; callable from any thread.
#pragma once

#include "config/problem.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::config {

inline constexpr std::size_t kFileBytesMax = 1 << 20;

struct Entry;

struct Node {
  enum class Shape { nothing, scalar, sequence, mapping };  // nothing: `key:` without a value.
  Shape shape = Shape::nothing;
  int line = 1;  // Both from 1.
  int column = 1;
  std::string text;            // scalar
  int text_column = 0;         // …where its text begins if it stands in one line as it is; else 0.
  std::vector<Node> items;     // sequence
  std::vector<Entry> entries;  // mapping, in the order of the file

  // The value of a key of this mapping, or null.
  const Node* find(std::string_view key) const;
};

struct Entry {
  std::string key;
  int line = 1;
  int column = 1;
  Node value;
};

struct Document {
  Node root;
  std::vector<Problem> problems;  // Syntax and limits; not empty: `root` may be cut short.
};

// Never throws (but std::bad_alloc). A key given twice is a problem; the first one stays.
Document parse_document(std::string_view text);

}  // namespace spillway::config
