#include "config/language/token.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace spillway::language {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

constexpr std::array<std::string_view, 6> kKeywords{"and", "or", "not", "in", "true", "false"};

bool is_keyword(std::string_view word) {
  return word == "and" || word == "or" || word == "not" || word == "in";
}

// The keyword that is shouted here: AND.
std::string_view shouted(std::string_view word) {
  const auto same = [](char c, char small) { return c == small - 'a' + 'A'; };
  for (const std::string_view keyword : kKeywords) {
    if (std::equal(word.begin(), word.end(), keyword.begin(), keyword.end(), same)) return keyword;
  }
  return {};
}

// 50000, without exponent or needless digits.
std::string plain(double number) {
  std::array<char, 400> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed).ptr;
  return {text.data(), end};
}

// Where a unit is a part of another it divides, which rounds but once: 700ms is 0.7.
struct Unit {
  std::string_view name;
  Type type;
  double factor;
  double divisor;
};

constexpr std::array kUnits{
    Unit{"", Type::number, 1.0, 1.0},     Unit{"%", Type::number, 1.0, 100.0},
    Unit{"ns", Type::duration, 1.0, 1e9}, Unit{"us", Type::duration, 1.0, 1e6},
    Unit{"ms", Type::duration, 1.0, 1e3}, Unit{"s", Type::duration, 1.0, 1.0},
    Unit{"m", Type::duration, 60.0, 1.0}, Unit{"h", Type::duration, 3'600.0, 1.0},
    Unit{"usd", Type::money, 1e9, 1.0}};

constexpr std::string_view kUnitRule =
    "after a number may stand %, ms, s, m, h (also us, ns) or usd";

// Symbols that other languages have, and what is written here.
constexpr std::array<std::array<std::string_view, 2>, 9> kForeign{{{"&&", "and"},
                                                                   {"||", "or"},
                                                                   {"!", "not"},
                                                                   {"=", "=="},
                                                                   {"≥", ">="},
                                                                   {"≤", "<="},
                                                                   {"≠", "!="},
                                                                   {"×", "*"},
                                                                   {"÷", "/"}}};
constexpr std::array<std::string_view, 15> kSymbols{"<=", ">=", "==", "!=", "(", ")", "[", "]",
                                                    ",",  "+",  "-",  "*",  "/", "<", ">"};

class Cutter {
 public:
  explicit Cutter(std::string_view text) : text_(text) {}

  std::variant<std::vector<Token>, Mistake> run() {
    std::vector<Token> tokens;
    while (true) {
      while (at_ < text_.size() && is_space(text_[at_])) ++at_;
      if (at_ == text_.size()) break;
      const auto token = next();
      if (!token) return Mistake{mistake_at_, std::move(message_)};
      tokens.push_back(*token);
      const bool asks = token->kind == TokenKind::word && !is_keyword(token->text);
      if (asks && at_ < text_.size() && text_[at_] == '(') ask(tokens);
    }
    tokens.push_back({TokenKind::end, text_.size(), text_.size(), "", Type::number, 0.0});
    return tokens;
  }

 private:
  std::optional<Token> next() {
    const char c = text_[at_];
    if (is_letter(c)) return word();
    if (is_digit(c)) return number();
    if (c == '\'' || c == '"') return quoted();
    return symbol();
  }

  // "(ai-hub)" behind a fact's word: names of targets hold what would be symbols elsewhere.
  void ask(std::vector<Token>& tokens) {
    tokens.push_back(token(TokenKind::symbol, at_ + 1));
    at_ = end_of(at_, is_space);
    std::size_t end = std::min(text_.find(')', at_), text_.size());
    while (end > at_ && is_space(text_[end - 1])) --end;
    Token name = token(TokenKind::name, end);
    const bool in_quotes = name.text.size() >= 2 && name.text.front() == name.text.back() &&
                           (name.text.front() == '\'' || name.text.front() == '"');
    if (in_quotes) name.text = name.text.substr(1, name.text.size() - 2);
    tokens.push_back(name);
  }

  Token token(TokenKind kind, std::size_t end) {
    Token token{kind, at_, end, text_.substr(at_, end - at_), Type::number, 0.0};
    at_ = end;
    return token;
  }

  std::optional<Token> fail(std::size_t at, std::string message) {
    mistake_at_ = at;
    message_ = std::move(message);
    return std::nullopt;
  }

  std::size_t end_of(std::size_t from, auto fits) const {
    while (from < text_.size() && fits(text_[from])) ++from;
    return from;
  }

  std::optional<Token> word() {
    const std::size_t end =
        end_of(at_, [](char c) { return is_letter(c) || is_digit(c) || c == '.'; });
    const std::string_view written = text_.substr(at_, end - at_);
    if (const auto keyword = shouted(written); !keyword.empty())
      return fail(at_, "'" + std::string(written) + "': write `" + std::string(keyword) + "`");
    return token(TokenKind::word, end);
  }

  std::optional<Token> number() {
    const std::size_t digits = end_of(at_, [](char c) { return is_digit(c) || c == '.'; });
    if (digits < text_.size() && text_[digits] == ':') return time_of_day();
    double value = 0.0;
    const char* const stop = text_.data() + digits;
    const auto [read, error] = std::from_chars(text_.data() + at_, stop, value);
    const std::string_view written = text_.substr(at_, digits - at_);
    if (error != std::errc() || read != stop || written.back() == '.')
      return fail(at_, "'" + std::string(written) + "' is not a number");
    const std::size_t end = end_of(digits, [](char c) { return is_letter(c) || c == '%'; });
    const std::string_view name = text_.substr(digits, end - digits);
    for (const Unit& unit : kUnits) {
      if (unit.name != name) continue;
      Token literal = token(TokenKind::literal, end);
      literal.type = unit.type;
      literal.number = value * unit.factor / unit.divisor;
      return literal;
    }
    if (const auto meant = spelled_out(at_, digits, value); !meant.empty())
      return fail(at_, "write the number as " + meant);
    return fail(digits, "'" + std::string(name) + "' is no unit: " + std::string(kUnitRule));
  }

  // What is meant by 50_000, 50k, 5M or 5e4, whose value up to `digits` is known; or nothing.
  std::string spelled_out(std::size_t from, std::size_t digits, double value) const {
    const std::size_t end = end_of(digits, [](char c) { return is_letter(c) || is_digit(c); });
    const std::string_view name = text_.substr(digits, end - digits);
    if (name.empty() || value > 1e9) return {};
    if (name == "k" || name == "K") return plain(1e3 * value);
    if (name == "M") return plain(1e6 * value);
    std::string whole(text_.substr(from, end - from));
    std::erase(whole, '_');
    const bool begins = name.front() == '_' || name.front() == 'e' || name.front() == 'E';
    const auto [stop, error] = std::from_chars(whole.data(), whole.data() + whole.size(), value);
    const bool all = error == std::errc() && stop == whole.data() + whole.size();
    return begins && all && value < 1e15 ? plain(value) : std::string();
  }

  std::optional<Token> time_of_day() {
    const std::size_t end = end_of(at_, [](char c) { return is_digit(c) || c == ':'; });
    const std::string_view written = text_.substr(at_, end - at_);
    const auto digit = [&](std::size_t i) { return written[i] - '0'; };
    const bool shaped = written.size() == 5 && written[2] == ':' && is_digit(written[0]) &&
                        is_digit(written[1]) && is_digit(written[3]) && is_digit(written[4]);
    const int hour = shaped ? 10 * digit(0) + digit(1) : 24;
    const int minute = shaped ? 10 * digit(3) + digit(4) : 0;
    if (hour > 23 || minute > 59)
      return fail(at_, "'" + std::string(written) + "' is not a time of day such as 06:30");
    Token literal = token(TokenKind::literal, end);
    literal.type = Type::time_of_day;
    literal.number = 3'600.0 * hour + 60.0 * minute;
    return literal;
  }

  std::optional<Token> quoted() {
    const std::size_t close = text_.find(text_[at_], at_ + 1);
    if (close == std::string_view::npos) return fail(at_, "a quote that is never closed");
    Token literal = token(TokenKind::literal, close + 1);
    literal.type = Type::text;
    literal.text = literal.text.substr(1, literal.text.size() - 2);
    return literal;
  }

  std::optional<Token> symbol() {
    const std::string_view rest = text_.substr(at_);
    for (const std::string_view symbol : kSymbols) {
      if (rest.starts_with(symbol)) return token(TokenKind::symbol, at_ + symbol.size());
    }
    for (const auto& [theirs, ours] : kForeign) {
      if (rest.starts_with(theirs))
        return fail(at_, "'" + std::string(theirs) + "': write `" + std::string(ours) + "`");
    }
    if (rest.front() == '%') return fail(at_, "write % right behind its number: 20%");
    if (rest.front() == '$') return fail(at_, "'$': write an amount as " + dollars(at_ + 1));
    const bool readable = rest.front() > ' ' && rest.front() < 127;
    return fail(at_, readable ? "'" + std::string(rest.substr(0, 1)) + "' means nothing here"
                              : "a character that means nothing here");
  }

  std::string dollars(std::size_t from) const {
    const std::size_t end = end_of(from, [](char c) { return is_digit(c) || c == '.'; });
    return end == from ? "0.10usd" : std::string(text_.substr(from, end - from)) + "usd";
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t mistake_at_ = 0;
  std::string message_;
};

}  // namespace

std::variant<std::vector<Token>, Mistake> tokens_of(std::string_view text) {
  return Cutter(text).run();
}

}  // namespace spillway::language
