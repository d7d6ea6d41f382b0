#include "backends/local/tokenizer/composed_form.h"

#include "backends/local/tokenizer/canonical_tables.h"
#include "backends/local/utf8.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace spillway::tokenizer {
namespace {

const CanonicalTables& tables() { return CanonicalTables::get(); }

constexpr char32_t kAsciiEnd = 0x80;  // What is before it joins nothing that it follows.

struct Mark {
  char32_t code;
  std::uint8_t combining;
};

// One starter and the marks after it, in order; a byte that is no character is a starter that is
// kept as it is.
class Composer {
 public:
  explicit Composer(bool compatible) : compatible_(compatible) {}

  void put(char32_t code) {
    if (code < kAsciiEnd) return begin(code);
    if (hangul::is_syllable(code)) return start(code);
    const auto parts = compatible_ ? tables().compatible_parts_of(code) : tables().parts_of(code);
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
  void put_part(char32_t code) {
    const std::uint8_t combining = tables().class_of(code);
    if (combining == 0) return start(code);
    marks_.push_back({code, combining});
  }

  void start(char32_t code) {
    compose();
    // Two starters make one only where nothing is left between them.
    const char32_t made = has_starter_ && marks_.empty() ? tables().made_of(starter_, code) : U'\0';
    if (made != 0) {
      starter_ = made;
      return;
    }
    begin(code);
  }

  void begin(char32_t code) {
    flush();
    starter_ = code;
    has_starter_ = true;
  }

  // A mark joins the starter unless one of its own class, or of none, stands between.
  void compose() {
    std::ranges::stable_sort(marks_, {}, &Mark::combining);
    if (!has_starter_) return;
    std::vector<Mark> left;
    for (const Mark& mark : marks_) {
      const bool blocked = !left.empty() && left.back().combining >= mark.combining;
      const char32_t made = blocked ? U'\0' : tables().made_of(starter_, mark.code);
      if (made != 0) {
        starter_ = made;
      } else {
        left.push_back(mark);
      }
    }
    marks_ = std::move(left);
  }

  void flush() {
    compose();
    if (has_starter_) local::utf8::append(out_, starter_);
    for (const Mark& mark : marks_) local::utf8::append(out_, mark.code);
    marks_.clear();
    has_starter_ = false;
  }

  const bool compatible_;
  std::string out_;
  bool has_starter_ = false;
  char32_t starter_ = 0;
  std::vector<Mark> marks_;
};

}  // namespace

bool needs_composing(std::string_view text, bool compatible) {
  // All before U+0300, whose first byte is 0xCC, are what they are in NFC, and ASCII in NFKC.
  const unsigned char first = compatible ? 0x80 : 0xCC;
  if (std::ranges::all_of(text, [=](char c) { return static_cast<unsigned char>(c) < first; }))
    return false;
  const auto changes = [compatible](char32_t c) {
    return tables().touches(c) || (compatible && tables().is_compatible(c));
  };
  while (!text.empty()) {
    const auto character = local::utf8::decode(text);
    if (character.quality == local::utf8::Quality::whole && changes(character.code)) return true;
    text.remove_prefix(character.quality == local::utf8::Quality::whole ? character.length : 1);
  }
  return false;
}

std::string composed_form(std::string_view text, bool compatible) {
  Composer composer(compatible);
  while (!text.empty()) {
    const auto character = local::utf8::decode(text);
    const bool whole = character.quality == local::utf8::Quality::whole;
    if (whole) {
      composer.put(character.code);
    } else {
      composer.put_byte(text.front());
    }
    text.remove_prefix(whole ? character.length : 1);
  }
  return composer.finish();
}

}  // namespace spillway::tokenizer
