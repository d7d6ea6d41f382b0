#include "backends/local/template/marked_text.h"

#include <algorithm>
#include <cassert>

namespace spillway::templates {

void MarkedText::append(std::string_view text, bool is_input) {
  if (is_input) mark(size(), size() + text.size());
  bytes_ += text;
}

void MarkedText::append(const MarkedText& text) {
  const std::size_t offset = size();
  const std::size_t ranges = text.input_.size();  // By index: `text` may be this object.
  for (std::size_t i = 0; i < ranges; ++i) {
    const Range range = text.input_[i];
    mark(offset + range.begin, offset + range.end);
  }
  bytes_ += text.bytes_;
}

MarkedText MarkedText::between(std::size_t begin, std::size_t end) const {
  assert(begin <= end && end <= size());
  MarkedText out(bytes_.substr(begin, end - begin));
  auto range = std::ranges::lower_bound(input_, begin + 1, {}, &Range::end);
  for (; range != input_.end() && range->begin < end; ++range) {
    out.mark(std::max(range->begin, begin) - begin, std::min(range->end, end) - begin);
  }
  return out;
}

MarkedText MarkedText::with_bytes(std::string bytes) const {
  assert(bytes.size() == bytes_.size());
  MarkedText out(std::move(bytes));
  out.input_ = input_;
  return out;
}

void MarkedText::mark(std::size_t begin, std::size_t end) {
  if (begin == end) return;
  if (!input_.empty() && input_.back().end == begin) {
    input_.back().end = end;
  } else {
    input_.push_back({begin, end});
  }
}

}  // namespace spillway::templates
