#include "backends/local/tokenizer/decomposed_form.h"

#include "backends/local/tokenizer/canonical_tables.h"
#include "backends/local/utf8.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace spillway::tokenizer {
namespace {

constexpr char32_t kAsciiEnd = 0x80;

struct Mark {
  char32_t code;
  std::uint8_t combining;
};

// Marks are kept until something follows that is none: then their order is known.
class Decomposer {
 public:
  explicit Decomposer(bool compatible) : compatible_(compatible) {}

  void put(char32_t code) {
    if (code < kAsciiEnd) return put_byte(static_cast<char>(code));
    if (hangul::is_syllable(code)) return put_syllable(code - hangul::kSyllables);
    const auto parts = compatible_ ? tables_.compatible_parts_of(code) : tables_.parts_of(code);
    if (parts.empty()) return put_part(code);
    for (const char32_t part : parts) put_part(part);
  }

  void put_byte(char byte) {
    flush();
    out_ += byte;
  }

  std::string finish() {
    flush();
    return std::move(out_);
  }

 private:
  void put_syllable(char32_t index) {
    using namespace hangul;
    flush();
    local::utf8::append(out_, kLeads + index / (kVowelCount * kTailCount));
    local::utf8::append(out_, kVowels + index / kTailCount % kVowelCount);
    if (index % kTailCount != 0) local::utf8::append(out_, kTails + index % kTailCount);
  }

  void put_part(char32_t code) {
    const std::uint8_t combining = tables_.class_of(code);
    if (combining != 0) {
      marks_.push_back({code, combining});
      return;
    }
    flush();
    local::utf8::append(out_, code);
  }

  void flush() {
    std::ranges::stable_sort(marks_, {}, &Mark::combining);
    for (const Mark& mark : marks_) local::utf8::append(out_, mark.code);
    marks_.clear();
  }

  const bool compatible_;
  const CanonicalTables& tables_ = CanonicalTables::get();
  std::string out_;
  std::vector<Mark> marks_;
};

}  // namespace

std::string decomposed_form(std::string_view text, bool compatible) {
  Decomposer decomposer(compatible);
  while (!text.empty()) {
    const auto character = local::utf8::decode(text);
    const bool whole = character.quality == local::utf8::Quality::whole;
    if (whole) {
      decomposer.put(character.code);
    } else {
      decomposer.put_byte(text.front());
    }
    text.remove_prefix(whole ? character.length : 1);
  }
  return decomposer.finish();
}

}  // namespace spillway::tokenizer
