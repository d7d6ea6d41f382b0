#include "backends/local/tokenizer/unicode_classes.h"

#include "backends/local/tokenizer/class_table.h"
#include "backends/local/tokenizer/unicode_ranges.h"

namespace spillway::tokenizer {

ClassSet classes_of(char32_t code_point) {
  static const ClassTable table({{capital_ranges, kUpper},
                                 {small_ranges, kLower},
                                 {caseless_ranges, kUpper | kLower},
                                 {number_ranges, kNumber},
                                 {space_ranges, kSpace},
                                 {mark_ranges, kMark},
                                 {punctuation_ranges, kPunctuation},
                                 {symbol_ranges, kSymbol},
                                 {digit_ranges, kDigit}});
  return table[code_point];
}

bool is_of_word(char32_t code_point) {
  static const ClassTable table({{word_ranges, 1}});
  return table[code_point] != 0;
}

}  // namespace spillway::tokenizer
