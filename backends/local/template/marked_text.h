// Text that remembers which of its bytes came from outside (a user's message, a tool's schema) and
// which are the template's own.
//
// A value type; immutable use from any thread is safe. Every operation a template applies keeps the
// marks, and where a result cannot be split byte by byte it is marked whole: input can lose its
// mark by no means.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::templates {

class MarkedText {
 public:
  // Bytes [begin, end) are input. Ranges are in order and do not touch.
  struct Range {
    std::size_t begin;
    std::size_t end;
  };

  MarkedText() = default;
  explicit MarkedText(std::string bytes, bool is_input = false) : bytes_(std::move(bytes)) {
    if (is_input && !bytes_.empty()) input_.push_back({0, bytes_.size()});
  }

  std::string_view bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  const std::vector<Range>& input() const { return input_; }
  bool has_input() const { return !input_.empty(); }

  void append(std::string_view text, bool is_input = false);
  void append(const MarkedText& text);

  // Requires: begin <= end <= size().
  MarkedText between(std::size_t begin, std::size_t end) const;

  // The same marks on other bytes of the same length (letters in another case).
  MarkedText with_bytes(std::string bytes) const;

 private:
  void mark(std::size_t begin, std::size_t end);

  std::string bytes_;
  std::vector<Range> input_;
};

}  // namespace spillway::templates
