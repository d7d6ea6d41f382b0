#include "backends/local/tokenizer/bert_text.h"

#include "backends/local/tokenizer/bert_tables.h"
#include "backends/local/tokenizer/class_table.h"
#include "backends/local/tokenizer/decomposed_form.h"
#include "backends/local/tokenizer/lower_case.h"
#include "backends/local/utf8.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace spillway::tokenizer {
namespace {

using Classes = std::uint8_t;

constexpr Classes kDropped = 1;
constexpr Classes kBlank = 2;
constexpr Classes kChinese = 4;
constexpr Classes kNonspacing = 8;
constexpr Classes kPunctuation = 16;
constexpr Classes kDecomposed = 32;

Classes classes_of(char32_t code) {
  static const ClassTable table({{dropped_ranges, kDropped},
                                 {blank_ranges, kBlank},
                                 {chinese_ranges, kChinese},
                                 {nonspacing_ranges, kNonspacing},
                                 {bert_punctuation_ranges, kPunctuation},
                                 {decomposed_ranges, kDecomposed}});
  return table[code];
}

struct Character {
  std::string_view bytes;
  char32_t code = 0;
  Classes classes = 0;
  bool whole = true;  // False: a byte that is no character.
};

// Takes the first character off `text`.
Character next(std::string_view& text) {
  const auto decoded = local::utf8::decode(text);
  const bool whole = decoded.quality == local::utf8::Quality::whole;
  Character character{text.substr(0, whole ? decoded.length : 1), decoded.code, 0, whole};
  if (whole) character.classes = classes_of(decoded.code);
  text.remove_prefix(character.bytes.size());
  return character;
}

// Words, as the characters come.
class Words {
 public:
  explicit Words(const BertText& how) : how_(how) {}

  void put(const Character& character) {
    if (how_.strips_accents && (character.classes & kNonspacing) != 0) return;
    if ((character.classes & kBlank) != 0) return end_word();
    const bool alone = (character.classes & kPunctuation) != 0;
    if (alone) end_word();
    put_lower(character);
    if (alone) end_word();
  }

  void end_word() { ended_ = true; }

  std::string finish() { return std::move(out_); }

 private:
  void put_lower(const Character& character) {
    if (std::exchange(ended_, false) && !out_.empty()) out_ += ' ';
    if (!how_.lowercases || !character.whole) {
      out_ += character.bytes;
    } else {
      append_lower(out_, character.code);
    }
  }

  const BertText& how_;
  std::string out_;
  bool ended_ = false;
};

}  // namespace

std::string BertText::words_of(std::string_view text) const {
  std::string kept;
  kept.reserve(text.size() + text.size() / 8);
  bool decomposes = false;
  while (!text.empty()) {
    const Character character = next(text);
    if (cleans && (character.classes & kDropped) != 0) continue;
    const bool chinese = spaces_chinese && (character.classes & kChinese) != 0;
    if (chinese) kept += ' ';
    kept += character.bytes;
    if (chinese) kept += ' ';
    decomposes = decomposes || (character.classes & kDecomposed) != 0;
  }
  if (strips_accents && decomposes) kept = decomposed_form(kept);
  Words words(*this);
  for (std::string_view rest = kept; !rest.empty();) words.put(next(rest));
  return words.finish();
}

}  // namespace spillway::tokenizer
