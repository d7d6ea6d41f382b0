#include "config/value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

namespace spillway::config {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

// Largest first: format_value writes the largest unit that leaves a whole number. Days are read,
// and written as hours.
constexpr std::array kDurations{
    Unit{"h", 3'600'000'000'000}, Unit{"m", 60'000'000'000}, Unit{"s", 1'000'000'000},
    Unit{"ms", 1'000'000},        Unit{"us", 1'000},         Unit{"ns", 1},
    Unit{"d", 86'400'000'000'000}};
constexpr std::array kSizes{Unit{"GiB", 1LL << 30}, Unit{"MiB", 1LL << 20}, Unit{"KiB", 1LL << 10},
                            Unit{"B", 1}};
constexpr std::array kMoney{Unit{"usd", 1'000'000'000}};

constexpr std::size_t kQuotedMax = 60;
constexpr std::size_t kSecretRunMin = 32;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// `number` (digits, at most one dot) times `factor`, exactly. Nothing if it is not such a number,
// does not fit, or leaves a rest: money and time are never rounded.
std::optional<std::int64_t> scaled(std::string_view number, std::int64_t factor) {
  const auto dot = number.find('.');
  const std::string_view whole = number.substr(0, dot);
  const std::string_view rest =
      dot == std::string_view::npos ? std::string_view() : number.substr(dot + 1);
  if (whole.empty() || (dot != std::string_view::npos && rest.empty())) return std::nullopt;
  if (whole.size() + rest.size() > 18) return std::nullopt;
  __int128 digits = 0;
  __int128 divisor = 1;
  for (const std::string_view part : {whole, rest}) {
    for (const char c : part) {
      if (!is_digit(c)) return std::nullopt;
      digits = digits * 10 + (c - '0');
    }
  }
  for (std::size_t i = 0; i < rest.size(); ++i) divisor *= 10;
  const __int128 product = digits * factor;
  if (product % divisor != 0 || product / divisor > INT64_MAX) return std::nullopt;
  return static_cast<std::int64_t>(product / divisor);
}

Mistake not_a(const std::string& text, Kind kind) {
  return {in_quotes(text) + " is not " + expectation(kind)};
}

template <std::size_t N>
std::variant<Value, Mistake> parse_with_unit(Kind kind, const std::string& text,
                                             const std::array<Unit, N>& units) {
  const auto end = text.find_first_not_of("0123456789.");
  if (end == std::string::npos && scaled(text, 1'000'000'000)) {
    return Mistake{in_quotes(text) + " has no unit: write " + expectation(kind)};
  }
  if (end == std::string::npos) return not_a(text, kind);
  for (const Unit& unit : units) {
    if (text.substr(end) != unit.name) continue;
    const auto amount = scaled(std::string_view(text).substr(0, end), unit.factor);
    if (amount) return Value(*amount);
  }
  return not_a(text, kind);
}

template <std::size_t N>
std::string format_with_unit(std::int64_t amount, const std::array<Unit, N>& units) {
  for (const Unit& unit : units) {
    if (amount != 0 && amount % unit.factor == 0) {
      return std::to_string(amount / unit.factor) + std::string(unit.name);
    }
  }
  return "0" + std::string(amount == 0 && N == kDurations.size() ? "s" : units.back().name);
}

// At least two decimals, as money is read: 2.75usd, 0.50usd, 0.000001usd.
std::string format_money(std::int64_t nano) {
  std::string fraction = std::to_string(1'000'000'000 + nano % 1'000'000'000).substr(1);
  while (fraction.size() > 2 && fraction.back() == '0') fraction.pop_back();
  return std::to_string(nano / 1'000'000'000) + "." + fraction + "usd";
}

template <class Number>
std::optional<Number> parse_number(const std::string& text) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc() || stop != text.data() + text.size()) {
    return std::nullopt;
  }
  return port;
}

bool is_host(std::string_view host) {
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
    return is_digit(c) || is_letter(c) || c == '.' || c == '-' || c == '_';
  });
}

bool is_ipv6(std::string_view host) {
  return host.size() >= 2 && std::all_of(host.begin(), host.end(), [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
                  c == '.';
         });
}

bool is_bracketed_ipv6(std::string_view host) {
  return host.size() > 2 && host.front() == '[' && host.back() == ']' &&
         is_ipv6(host.substr(1, host.size() - 2));
}

bool is_endpoint(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || !parse_port(text.substr(colon + 1))) return false;
  const std::string_view host = text.substr(0, colon);
  return is_host(host) || is_bracketed_ipv6(host);
}

// "http://user:secret@host" → "http://…@host"
std::string without_password(const std::string& url) {
  const auto at = url.rfind('@'), slashes = url.find("//");
  if (at == std::string::npos || slashes == std::string::npos || slashes > at) return url;
  return url.substr(0, slashes + 2) + "…" + url.substr(at);
}

std::variant<Value, Mistake> parse_url(const std::string& text) {
  const bool secure = text.starts_with("https://");
  if (!secure && !text.starts_with("http://")) return not_a(text, Kind::url);
  if (text.find_first_of(" \"<>\\^`{|}?#@") != std::string::npos) {
    return Mistake{in_quotes(without_password(text)) +
                   " has more than scheme, host, port and path: write " + expectation(Kind::url) +
                   "; a key goes into `key`"};
  }
  const std::string_view rest = std::string_view(text).substr(secure ? 8 : 7);
  const std::string_view authority = rest.substr(0, rest.find('/'));
  if (!is_host(authority) && !is_bracketed_ipv6(authority) && !is_endpoint(authority)) {
    return not_a(text, Kind::url);
  }
  return Value(text.substr(0, text.find_last_not_of('/') + 1));
}

bool is_variable_name(std::string_view name) {
  return !name.empty() && !is_digit(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_digit(c) || is_letter(c) || c == '_'; });
}

std::variant<Value, Mistake> parse_secret(const std::string& text) {
  const auto name = std::string_view(text).substr(std::min(text.find(':'), text.size() - 1) + 1);
  const bool named = (text.starts_with("env:") && is_variable_name(name)) ||
                     (text.starts_with("file:") && !name.empty());
  if (named && !looks_like_secret(name)) return Value(text);
  return Mistake{
      "a secret is never written into this file: put it into an environment variable and write "
      "env:NAME, or into a file and write file:PATH"};
}

std::variant<Value, Mistake> parse_text(const std::string& text) {
  if (looks_like_secret(text)) return Mistake{std::string(kSecretRule)};
  return Value(text);
}

std::variant<Value, Mistake> parse_word(const std::string& text, const Names& words) {
  if (std::find(words.begin(), words.end(), text) != words.end()) return Value(text);
  return Mistake{in_quotes(text) + " is not " + expectation(Kind::word, words)};
}

std::variant<Value, Mistake> parse_flag(const std::string& text) {
  if (text == "true") return Value(true);
  if (text == "false") return Value(false);
  return not_a(text, Kind::flag);
}

std::variant<Value, Mistake> parse_count(const std::string& text) {
  if (const auto number = parse_number<std::int64_t>(text)) return Value(*number);
  return not_a(text, Kind::count);
}

std::variant<Value, Mistake> parse_decimal(const std::string& text) {
  const auto number = parse_number<double>(text);
  if (number && std::isfinite(*number)) return Value(*number);
  return not_a(text, Kind::decimal);
}

std::string format_decimal(double number) {
  std::array<char, 64> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  return {text.data(), end};
}

std::string join(const Names& words, std::string_view separator) {
  std::string joined;
  for (const std::string& word : words) {
    if (!joined.empty()) joined += separator;
    joined += word;
  }
  return joined;
}

}  // namespace

std::variant<Value, Mistake> parse_value(Kind kind, const std::string& text, const Names& words) {
  switch (kind) {
    case Kind::flag: return parse_flag(text);
    case Kind::count: return parse_count(text);
    case Kind::decimal: return parse_decimal(text);
    case Kind::duration: return parse_with_unit(kind, text, kDurations);
    case Kind::bytes: return parse_with_unit(kind, text, kSizes);
    case Kind::money: return parse_with_unit(kind, text, kMoney);
    case Kind::word: return parse_word(text, words);
    case Kind::url: return parse_url(text);
    case Kind::secret: return parse_secret(text);
    case Kind::endpoint:
      if (!is_endpoint(text)) return not_a(text, kind);
      return Value(text);
    default: return parse_text(text);
  }
}

std::string format_value(Kind kind, const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* decimal = std::get_if<double>(&value)) return format_decimal(*decimal);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* names = std::get_if<Names>(&value)) {
    const bool alone = kind == Kind::urls && names->size() == 1;
    return alone ? names->front() : "[" + join(*names, ", ") + "]";
  }
  if (const auto* pairs = std::get_if<Pairs>(&value)) {
    Names entries;
    for (const auto& [name, upstream] : *pairs) entries.push_back(name + ": " + upstream);
    return "{" + join(entries, ", ") + "}";
  }
  const auto* number = std::get_if<std::int64_t>(&value);
  if (number == nullptr) return "";
  switch (kind) {
    case Kind::duration: return format_with_unit(*number, kDurations);
    case Kind::bytes: return format_with_unit(*number, kSizes);
    case Kind::money: return format_money(*number);
    default: return std::to_string(*number);
  }
}

std::string expectation(Kind kind, const Names& words) {
  switch (kind) {
    case Kind::flag: return "true or false";
    case Kind::count: return "a whole number";
    case Kind::decimal: return "a number such as 0.9";
    case Kind::duration: return "a duration such as 800ms, 30s or 5m";
    case Kind::bytes: return "a size such as 16KiB or 32MiB";
    case Kind::money: return "an amount such as 2.75usd";
    case Kind::word: return "one of: " + join(words, ", ");
    case Kind::endpoint: return "HOST:PORT such as 127.0.0.1:8080";
    case Kind::url: return "a URL such as https://api.example.com/v1";
    case Kind::urls: return expectation(Kind::url) + ", or a list of them";
    case Kind::secret: return "env:NAME or file:PATH";
    case Kind::names: return "a name or a list such as [one, two]";
    case Kind::served: return "a list of model names, or a block `name: name at the target`";
    case Kind::block: return "a block of keys";
    case Kind::text: break;
  }
  return "a text";
}

std::pair<std::string, std::uint16_t> split_endpoint(std::string_view text) {
  const auto colon = text.rfind(':');
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  return {std::string(host), parse_port(text.substr(colon + 1)).value_or(0)};
}

bool is_name(std::string_view text) {
  const auto fits = [](char c) { return is_digit(c) || is_letter(c) || c == '-' || c == '_'; };
  return !text.empty() && text.size() <= 64 && (is_digit(text[0]) || is_letter(text[0])) &&
         std::all_of(text.begin(), text.end(), fits);
}

bool is_model_name(std::string_view text) {
  return !text.empty() && text.size() <= 128 && !looks_like_secret(text) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return is_digit(c) || is_letter(c) ||
                  std::string_view("._-/:@+").find(c) != std::string_view::npos;
         });
}

std::string in_quotes(std::string_view text) { return "'" + shown(text) + "'"; }

std::string shown(std::string_view text) {
  if (looks_like_secret(text)) return "***";
  std::string shown;
  for (const char c : text.substr(0, kQuotedMax)) {
    shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  if (text.size() <= kQuotedMax) return shown;
  // A cut must not leave half a UTF-8 character behind.
  while ((static_cast<unsigned char>(shown.back()) & 0xc0) == 0x80) shown.pop_back();
  if (static_cast<unsigned char>(shown.back()) >= 0xc0) shown.pop_back();
  return shown + "…";
}

bool looks_like_secret(std::string_view text) {
  for (const std::string_view prefix :
       {"sk-", "sk_", "gsk_", "hf_", "xai-", "AIza", "AKIA", "ghp_", "eyJ", "Bearer ", "Basic "}) {
    if (text.starts_with(prefix) && text.size() >= prefix.size() + 8) return true;
  }
  if (text.size() < kSecretRunMin) return false;
  const bool one_run =
      std::all_of(text.begin(), text.end(), [](char c) { return is_digit(c) || is_letter(c); });
  return one_run && std::any_of(text.begin(), text.end(), is_digit) &&
         std::any_of(text.begin(), text.end(), is_letter);
}

}  // namespace spillway::config
