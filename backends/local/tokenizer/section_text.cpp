#include "backends/local/tokenizer/section_text.h"

namespace spillway::tokenizer {

SectionText::SectionText(const Vocabulary& vocabulary)
    : normalizers_(vocabulary.normalizers),
      writing_(vocabulary.writing),
      leading_space_(vocabulary.leading_space),
      marks_in_normalizer_(vocabulary.normalizer_marks_spaces) {}

std::string_view SectionText::normalized(std::string_view text, bool begins,
                                         std::string& held) const {
  text = tokenizer::normalized(normalizers_, text, held);
  const bool adds = begins && leading_space_ == LeadingSpace::each;
  if (writing_ == Writing::bytes || text.empty() || (!adds && !marks_in_normalizer_)) return text;
  std::string made = adds ? std::string(kMarkedSpace) : std::string();
  made += marks_in_normalizer_ ? with_marked_spaces(text) : std::string(text);
  return held = std::move(made);
}

std::string_view SectionText::marked(std::string_view text, bool is_first,
                                     std::string& held) const {
  if (writing_ == Writing::bytes || text.empty()) return text;
  const bool spaced = text.front() == ' ' || text.starts_with(kMarkedSpace);
  const bool adds = !spaced && (leading_space_ == LeadingSpace::each_unless ||
                                (leading_space_ == LeadingSpace::first_unless && is_first));
  if (!adds && marks_in_normalizer_) return text;
  held = adds ? std::string(kMarkedSpace) : std::string();
  held += with_marked_spaces(text);
  return held;
}

}  // namespace spillway::tokenizer
