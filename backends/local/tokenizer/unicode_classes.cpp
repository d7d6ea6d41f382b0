#include "backends/local/tokenizer/unicode_classes.h"

#include "backends/local/tokenizer/class_table.h"
#include "backends/local/tokenizer/unicode_ranges.h"

namespace spillway::tokenizer {

ClassSet classes_of(char32_t code_point) {
  static const ClassTable table({{upper_ranges, kUpper},
                                 {lower_ranges, kLower},
                                 {number_ranges, kNumber},
                                 {space_ranges, kSpace},
                                 {mark_ranges, kMark},
                                 {punctuation_ranges, kPunctuation},
                                 {symbol_ranges, kSymbol},
                                 {digit_ranges, kDigit}});
  return table[code_point];
}

}  // namespace spillway::tokenizer
