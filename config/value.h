// One value as an operator writes it ("30s", "32MiB", "2.75usd") and as the program holds it.
//
// Every kind has one canonical form in Value, so that defaults, ranges, comparisons and the
// effective dump need no knowledge of the field behind it. Pure functions, callable from any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace spillway::config {

enum class Kind {
  flag,      // true | false                       → bool
  count,     // 8                                  → int64
  decimal,   // 1.5                                → double
  duration,  // 800ms, 30s, 5m                     → int64 nanoseconds
  bytes,     // 32MiB                              → int64
  money,     // 2.75usd                            → int64 nano-USD
  text,      //                                    → string
  word,      // one of a row's words               → string
  endpoint,  // 127.0.0.1:8080                     → string
  url,       // https://host/v1                    → string without a slash at its end
  urls,      // one, or [one, two]                 → Names, each as url
  secret,    // env:NAME | file:PATH               → string as written; config/secret.h reads it
  names,     // one, or [one, two]                 → Names
  served,    // [one, two] or {one: upstream name} → Pairs
  block,     // A block with rows and a reader of its own; never a Value.
};

using Names = std::vector<std::string>;
using Pairs = std::vector<std::pair<std::string, std::string>>;
// monostate: an optional field that is not given.
using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string, Names, Pairs>;

struct Mistake {
  std::string message;  // A sentence without its place: "'30' has no unit: write 30s, …".
};

// Reads one scalar. `words` is for Kind::word alone. Requires: not Kind::urls, names, served or
// block.
std::variant<Value, Mistake> parse_value(Kind kind, const std::string& text,
                                         const std::vector<std::string>& words = {});

// The canonical text of a value: parse_value(kind, format_value(kind, v)) is v. Empty for
// monostate.
std::string format_value(Kind kind, const Value& value);

// What to write: "a duration such as 800ms, 30s or 5m".
std::string expectation(Kind kind, const std::vector<std::string>& words = {});

// HOST:PORT cut in two; IPv6 hosts stand in brackets. Requires: a text that parse_value accepted.
std::pair<std::string, std::uint16_t> split_endpoint(std::string_view text);

// The text in single quotes for a message: shortened, control characters masked, and hidden
// altogether if it looks like a secret.
std::string in_quotes(std::string_view text);
std::string shown(std::string_view text);  // The same without the quotes.

// Names of keys, targets and classes: they become labels, headers and parts of paths.
bool is_name(std::string_view text);
inline constexpr std::string_view kNameRule =
    "a name has letters, digits, - and _, at most 64, and begins with a letter or digit";

// Names of models may hold more: what can be typed without a space, at most 128 characters.
bool is_model_name(std::string_view text);
inline constexpr std::string_view kModelNameRule =
    "a model's name has letters, digits and . _ - / : @ +, at most 128";

inline constexpr std::string_view kSecretRule =
    "this looks like a secret: only env:NAME or file:PATH may stand for one, in `secret` or `key`";

// True for what nobody but a key would look like: "sk-…", "Bearer …", long runs of letters and
// digits.
bool looks_like_secret(std::string_view text);

}  // namespace spillway::config
