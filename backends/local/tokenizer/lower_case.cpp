#include "backends/local/tokenizer/lower_case.h"

#include "backends/local/tokenizer/bert_tables.h"
#include "backends/local/utf8.h"

#include <cstddef>
#include <unordered_map>

namespace spillway::tokenizer {
namespace {

constexpr char32_t kCapitalIWithDot = 0x130;  // The only one whose lower case is two: i, and…
constexpr char32_t kDotAbove = 0x307;

char32_t lower_of(char32_t code) {
  static const auto table = [] {
    std::unordered_map<char32_t, char32_t> lower;
    char32_t at = 0;
    for (std::size_t i = 0; i < lowercase_steps.size(); i += 2) {
      at += lowercase_steps[i];
      lower.emplace(at, lowercase_steps[i + 1]);
    }
    return lower;
  }();
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code;
  const auto found = table.find(code);
  return found == table.end() ? code : found->second;
}

}  // namespace

void append_lower(std::string& out, char32_t code) {
  if (code != kCapitalIWithDot) return local::utf8::append(out, lower_of(code));
  out += 'i';
  local::utf8::append(out, kDotAbove);
}

}  // namespace spillway::tokenizer
