#include "backends/local/template/lexer.h"

#include "backends/local/utf8.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace spillway::templates {
namespace {

// Longest first.
constexpr std::array<std::string_view, 26> kOperators = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}
bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

// Line ends become "\n", and one at the very end is dropped.
std::string normalized(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    const bool is_return = source[i] == '\r';
    out.push_back(is_return ? '\n' : source[i]);
    if (is_return && i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalized(source)) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size() && error_.empty()) text_until_tag();
    emit(TokenKind::end, {});
    if (!error_.empty()) return template_error(line_, error_);
    return std::move(tokens_);
  }

 private:
  bool looking_at(std::string_view what, std::size_t offset = 0) const {
    return std::string_view(source_)
        .substr(std::min(at_ + offset, source_.size()))
        .starts_with(what);
  }

  // Every byte goes through here once, so that line numbers are right.
  void advance(std::size_t bytes) {
    const auto begin = source_.begin() + static_cast<std::ptrdiff_t>(at_);
    line_ += static_cast<int>(std::count(begin, begin + static_cast<std::ptrdiff_t>(bytes), '\n'));
    if (bytes > 0) line_starting_ = source_[at_ + bytes - 1] == '\n';
    at_ += bytes;
  }

  void skip_spaces() {
    std::size_t end = at_;
    while (end < source_.size() && is_space(source_[end])) ++end;
    advance(end - at_);
  }

  void emit(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  // Literal text up to the next tag, then that tag.
  void text_until_tag() {
    std::size_t tag = at_;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) return plain_rest();
      const char kind = source_[tag + 1];
      if (kind == '%' || kind == '{' || kind == '#') break;
      ++tag;
    }
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
    emit_data(stripped(source_.substr(at_, tag - at_), sign, kind != '{'));
    advance(tag - at_ + 2 + (sign == '-' || sign == '+' ? 1 : 0));
    if (kind == '#') return comment();
    if (kind == '%' && raw_tag_length() > 0) return raw();
    inside_tag(kind == '%');
  }

  void plain_rest() {
    emit_data(source_.substr(at_));
    advance(source_.size() - at_);
  }

  void emit_data(std::string text) {
    if (!text.empty()) emit(TokenKind::data, std::move(text));
  }

  // What a tag's edge leaves of the text before it. `is_block`: lstrip_blocks applies.
  std::string stripped(std::string text, char sign, bool is_block) const {
    if (sign == '-') {
      while (!text.empty() && is_space(text.back())) text.pop_back();
    } else if (sign != '+' && is_block) {
      const std::size_t newline = text.rfind('\n');
      if (newline == std::string::npos && !line_starting_) return text;
      const std::size_t line = newline == std::string::npos ? 0 : newline + 1;
      const bool blank =
          std::all_of(text.begin() + static_cast<std::ptrdiff_t>(line), text.end(), is_space);
      if (blank) text.resize(line);
    }
    return text;
  }

  // At "-%}", "+%}" or "%}" (with `close` = "%}"): consumes it with what it trims.
  bool closing(std::string_view close, bool trims_newline) {
    const char sign = at_ < source_.size() ? source_[at_] : ' ';
    const bool minus = sign == '-' && looking_at(close, 1);
    const bool plus = sign == '+' && trims_newline && looking_at(close, 1);
    if (!minus && !plus && !looking_at(close)) return false;
    advance(close.size() + (minus || plus ? 1 : 0));
    if (minus)
      skip_spaces();
    else if (!plus && trims_newline && looking_at("\n"))
      advance(1);
    return true;
  }

  void comment() {
    while (at_ < source_.size()) {
      const std::size_t end = source_.find("#}", at_);
      if (end == std::string::npos) break;
      const bool sign = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+');
      advance(end - at_ - (sign ? 1 : 0));
      closing("#}", true);
      return;
    }
    error_ = "a comment has no end";
  }

  // The length of "raw %}" or "raw -%}" here, 0 if this is another tag.
  std::size_t raw_tag_length() const {
    std::size_t end = at_;
    const auto spaces = [&] {
      while (end < source_.size() && is_space(source_[end])) ++end;
    };
    spaces();
    if (source_.compare(end, 3, "raw") != 0) return 0;
    end += 3;
    spaces();
    if (source_.compare(end, 3, "-%}") == 0) return end + 3 - at_;
    return source_.compare(end, 2, "%}") == 0 ? end + 2 - at_ : 0;
  }

  void raw() {
    const std::size_t length = raw_tag_length();
    const bool trims = source_[at_ + length - 3] == '-';
    advance(length);
    if (trims) skip_spaces();
    for (std::size_t tag = at_; (tag = source_.find("{%", tag)) != std::string::npos; tag += 2) {
      std::size_t word = tag + 2;
      const char sign = word < source_.size() ? source_[word] : ' ';
      if (sign == '-' || sign == '+') ++word;
      while (word < source_.size() && is_space(source_[word])) ++word;
      if (source_.compare(word, 6, "endraw") != 0) continue;
      emit_data(stripped(source_.substr(at_, tag - at_), sign, true));
      advance(word + 6 - at_);
      skip_spaces();
      if (!closing("%}", true)) error_ = "endraw takes nothing";
      return;
    }
    error_ = "a raw block has no end";
  }

  // Tokens up to the tag's end.
  void inside_tag(bool is_block) {
    emit(is_block ? TokenKind::block_begin : TokenKind::variable_begin, {});
    std::string open;  // Brackets: inside them "}}" is two braces.
    while (error_.empty()) {
      skip_spaces();
      if (at_ >= source_.size()) {
        error_ = "a tag has no end";
        return;
      }
      if (open.empty() && closing(is_block ? "%}" : "}}", is_block)) break;
      token(open);
    }
    emit(is_block ? TokenKind::block_end : TokenKind::variable_end, {});
  }

  void token(std::string& open) {
    const char c = source_[at_];
    if (is_digit(c)) return number();
    if (c == '"' || c == '\'') return string();
    if (is_name_start(c)) {
      std::size_t end = at_;
      while (end < source_.size() && is_name_part(source_[end])) ++end;
      emit(TokenKind::name, source_.substr(at_, end - at_));
      return advance(end - at_);
    }
    const auto found = std::ranges::find_if(kOperators, [&](auto op) { return looking_at(op); });
    if (found == kOperators.end()) {
      error_ = "unexpected character";
      return;
    }
    if (c == '(' || c == '[' || c == '{') open.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) {
        error_ = "a bracket does not match";
        return;
      }
      open.pop_back();
    }
    emit(TokenKind::punctuation, std::string(*found));
    advance(found->size());
  }

  void number() {
    std::string digits;
    bool is_float = false;
    std::size_t end = at_;
    const auto take_digits = [&] {
      for (; end < source_.size() && (is_digit(source_[end]) || source_[end] == '_'); ++end) {
        if (source_[end] != '_') digits.push_back(source_[end]);
      }
    };
    const auto is_digit_at = [&](std::size_t i) {
      return i < source_.size() && is_digit(source_[i]);
    };
    take_digits();
    if (end < source_.size() && source_[end] == '.' && is_digit_at(end + 1)) {
      is_float = true;
      digits.push_back(source_[end++]);
      take_digits();
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      const bool sign =
          end + 1 < source_.size() && (source_[end + 1] == '-' || source_[end + 1] == '+');
      if (is_digit_at(end + (sign ? 2 : 1))) {
        is_float = true;
        digits.push_back('e');
        if (sign) digits.push_back(source_[end + 1]);
        end += sign ? 2 : 1;
        take_digits();
      }
    }
    emit(is_float ? TokenKind::floating : TokenKind::integer, std::move(digits));
    advance(end - at_);
  }

  void string() {
    const char quote = source_[at_];
    std::string text;
    std::size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) {
      if (source_[end] == '\\' && end + 1 < source_.size()) {
        end = escape(end + 1, text);
      } else {
        text.push_back(source_[end++]);
      }
    }
    if (end >= source_.size()) {
      error_ = "a string has no end";
      return;
    }
    emit(TokenKind::string, std::move(text));
    advance(end + 1 - at_);
  }

  // Python's escapes; unknown ones keep their backslash. Returns where the text goes on.
  std::size_t escape(std::size_t at, std::string& text) const {
    constexpr std::string_view kNames = "nrtabfv\\'\"";
    constexpr std::string_view kMeanings = "\n\r\t\a\b\f\v\\'\"";
    const char c = source_[at];
    const std::size_t known = kNames.find(c);
    if (known != std::string_view::npos) {
      text.push_back(kMeanings[known]);
      return at + 1;
    }
    if (c == '\n') return at + 1;
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits > 0) return numbered_escape(at + 1, digits, 16, text, c);
    if (c >= '0' && c <= '7') {
      std::size_t count = 1;
      while (count < 3 && at + count < source_.size() && source_[at + count] >= '0' &&
             source_[at + count] <= '7') {
        ++count;
      }
      return numbered_escape(at, count, 8, text, c);
    }
    text.push_back('\\');
    text.push_back(c);
    return at + 1;
  }

  std::size_t numbered_escape(std::size_t at, std::size_t digits, int base, std::string& text,
                              char name) const {
    std::uint32_t code = 0;
    const char* begin = source_.data() + at;
    const char* end = source_.data() + std::min(at + digits, source_.size());
    const auto parsed = std::from_chars(begin, end, code, base);
    const bool is_scalar = code < 0x110000 && (code < 0xD800 || code > 0xDFFF);
    if (parsed.ptr != begin + digits || !is_scalar) {
      text.push_back('\\');
      text.push_back(name);
      return at;
    }
    local::utf8::append(text, code);
    return at + digits;
  }

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::string error_;
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) { return Lexer(source).run(); }

Error template_error(int line, std::string_view what) {
  return Error{Errc::internal,
               "chat template, line " + std::to_string(line) + ": " + std::string(what)};
}

}  // namespace spillway::templates
