// The text between two whole tokens, before it is split: what the normalizers make of it, and the
// spaces that vocabularies of characters mark, or have in front of it.
//
// A plain value; any thread.
#pragma once

#include "backends/local/tokenizer/normalizer.h"
#include "backends/local/tokenizer/tokenizer.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway::tokenizer {

class SectionText {
 public:
  explicit SectionText(const Vocabulary& vocabulary);

  // What the normalizers make of it, in `held` if they make something of it. `begins`: nothing of
  // its section is before it.
  std::string_view normalized(std::string_view text, bool begins, std::string& held) const;

  // What the pre-tokenizer makes of that first, likewise. `is_first`: no token is before it.
  std::string_view marked(std::string_view text, bool is_first, std::string& held) const;

 private:
  std::vector<Normalizer> normalizers_;
  Writing writing_;
  LeadingSpace leading_space_;
  bool marks_in_normalizer_;
};

}  // namespace spillway::tokenizer
