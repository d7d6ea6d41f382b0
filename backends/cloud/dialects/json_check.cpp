#include "backends/cloud/dialects/json_check.h"

#include <array>
#include <bitset>
#include <cstddef>

namespace spillway::cloud {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool in_range(unsigned char byte, unsigned low, unsigned high) {
  return byte >= low && byte <= high;
}

class Checker {
 public:
  explicit Checker(std::string_view text) : at_(text.data()), end_(at_ + text.size()) {}

  bool check() {
    bool more = value();
    while (more && depth_ > 0) more = next_in_container();
    skip_space();
    return more && at_ == end_;
  }

 private:
  char peek() const { return at_ < end_ ? *at_ : '\0'; }

  bool take(char wanted) {
    if (peek() != wanted || at_ == end_) return false;
    ++at_;
    return true;
  }

  void skip_space() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  // A scalar, or the beginning of a container up to where its first value begins.
  bool value() {
    skip_space();
    switch (peek()) {
      case '{': return open(true);
      case '[': return open(false);
      case '"': return string();
      case 't': return word("true");
      case 'f': return word("false");
      case 'n': return word("null");
      default: return number();
    }
  }

  bool open(bool object) {
    ++at_;
    if (depth_ == kJsonNestingMax) return false;
    members_[depth_] = 0;
    is_object_[depth_++] = object;
    skip_space();
    if (take(object ? '}' : ']')) return close();
    return object ? key() && value() : value();
  }

  bool close() {
    --depth_;
    return true;
  }

  // What follows a value inside a container: its end, or the next value.
  bool next_in_container() {
    const bool object = is_object_[depth_ - 1];
    skip_space();
    if (take(object ? '}' : ']')) return close();
    if (!take(',')) return false;
    return object ? key() && value() : value();
  }

  bool key() {
    if (++members_[depth_ - 1] > kJsonMembersMax) return false;
    skip_space();
    if (!string()) return false;
    skip_space();
    return take(':');
  }

  bool word(std::string_view wanted) {
    if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(wanted)) {
      return false;
    }
    at_ += wanted.size();
    return true;
  }

  bool digits() {
    if (!is_digit(peek())) return false;
    while (is_digit(peek())) ++at_;
    return true;
  }

  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (!take('e') && !take('E')) return true;
    if (!take('+')) take('-');
    return digits();
  }

  bool string() {
    if (!take('"')) return false;
    while (at_ < end_) {
      const auto c = static_cast<unsigned char>(*at_);
      if (c == '"') break;
      if (c == '\\' ? !escape() : !character(c)) return false;
    }
    return take('"');
  }

  bool escape() {
    ++at_;
    if (!take('u')) {
      constexpr std::string_view kEscapes = "\"\\/bfnrt";
      return at_ < end_ && kEscapes.find(*at_++) != kEscapes.npos;
    }
    for (int i = 0; i < 4; ++i, ++at_) {
      if (!is_hex(peek())) return false;
    }
    return true;
  }

  // Unicode 15, table 3-7.
  bool character(unsigned char c) {
    ++at_;
    if (c < 0x80) return c >= 0x20;
    if (in_range(c, 0xC2, 0xDF)) return tail(0x80, 0xBF);
    if (c == 0xE0) return tail(0xA0, 0xBF) && tail(0x80, 0xBF);
    if (c == 0xED) return tail(0x80, 0x9F) && tail(0x80, 0xBF);
    if (in_range(c, 0xE1, 0xEF)) return tail(0x80, 0xBF) && tail(0x80, 0xBF);
    if (c == 0xF0) return tail(0x90, 0xBF) && tail(0x80, 0xBF) && tail(0x80, 0xBF);
    if (c == 0xF4) return tail(0x80, 0x8F) && tail(0x80, 0xBF) && tail(0x80, 0xBF);
    return in_range(c, 0xF1, 0xF3) && tail(0x80, 0xBF) && tail(0x80, 0xBF) && tail(0x80, 0xBF);
  }

  bool tail(unsigned low, unsigned high) {
    return at_ < end_ && in_range(static_cast<unsigned char>(*at_++), low, high);
  }

  const char* at_;
  const char* const end_;
  std::size_t depth_ = 0;
  std::bitset<kJsonNestingMax> is_object_;
  std::array<int, kJsonNestingMax> members_{};
};

}  // namespace

bool is_json(std::string_view text) { return Checker(text).check(); }

}  // namespace spillway::cloud
