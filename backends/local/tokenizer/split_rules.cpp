#include "backends/local/tokenizer/split_rules.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace spillway::tokenizer {
namespace {

constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Its newlines are the characters themselves.
constexpr std::string_view kDeepseekPattern =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}"
    "\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";
constexpr std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::string_view kDeepseekChinese = "[一-龥\u0800-一가-\uD7FF]+";
// Of scripts that have capitals. Written as numbers: some look like others that are elsewhere.
constexpr std::string_view kDeepseekLetters =
    "\\s?[A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295"
    "-\u02AF\u0370-\u0373\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-"
    "\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5"
    "\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-"
    "\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-"
    "\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-"
    "\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-"
    "\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E"
    "\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-"
    "\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17"
    "\uFF21-\uFF3A\uFF41-\uFF5A\U00010400-\U0001044F\U000104B0-\U000104D3\U000104D8-"
    "\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2\U000118A0-\U000118DF\U0001E900-"
    "\U0001E943]+";
constexpr std::string_view kDeepseekMarks = "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+";

// Requires: each is a known pattern.
std::vector<SplitRule> rules_of(std::initializer_list<std::string_view> patterns) {
  std::vector<SplitRule> rules;
  for (const std::string_view pattern : patterns) rules.push_back(split_rule_of(pattern).value());
  return rules;
}

// DeepSeek-V2's, and that of DeepSeek LLM before it.
NamedSplit deepseek_llm() {
  auto rules = rules_of({"[\r\n]", kDeepseekLetters, kDeepseekMarks, R"(\s+$)", kDeepseekChinese});
  rules.emplace_back(KnownSplit::each_digit);
  return {std::move(rules)};
}

NamedSplit deepseek_coder() {
  auto rules = rules_of({"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekChinese});
  rules.emplace_back(KnownSplit::each_digit);
  return {std::move(rules)};
}

NamedSplit deepseek_v3() {
  return {rules_of({R"(\p{N}{1,3})", "[一-龥぀-ゟ゠-ヿ]+", kDeepseekPattern})};
}

}  // namespace

std::optional<SplitRule> split_rule_of(std::string_view pattern) {
  constexpr std::pair<std::string_view, KnownSplit> kKnown[] = {
      {kLlama3Pattern, KnownSplit::llama3},
      {kQwenPattern, KnownSplit::qwen},
      {kGpt2Pattern, KnownSplit::gpt2},
      {kTekkenPattern, KnownSplit::tekken},
      {kDeepseekPattern, KnownSplit::deepseek_words},
      {R"(\s+$)", KnownSplit::line_end_spaces}};
  for (const auto& [text, rule] : kKnown) {
    if (pattern == text) return rule;
  }
  return ClassRun::of_pattern(pattern);
}

std::optional<NamedSplit> named_split(std::string_view name) {
  const auto is_one_of = [name](std::initializer_list<std::string_view> names) {
    return std::ranges::count(names, name) > 0;
  };
  if (name == "gpt-2") return NamedSplit{{KnownSplit::gpt2}};
  if (name == "smollm") return NamedSplit{{KnownSplit::each_digit, KnownSplit::gpt2}};
  if (is_one_of({"llama-bpe", "llama3", "llama-v3", "pixtral"}))
    return NamedSplit{{KnownSplit::llama3}, false, true, true};
  if (name == "smaug-bpe") return NamedSplit{{KnownSplit::llama3}};
  if (name == "tekken") return NamedSplit{{KnownSplit::tekken}, false, true, true};
  if (is_one_of({"qwen2", "deepseek-r1-qwen"})) return NamedSplit{{KnownSplit::qwen}, true};
  if (name == "deepseek-llm") return deepseek_llm();
  if (name == "deepseek-coder") return deepseek_coder();
  if (name == "deepseek-v3") return deepseek_v3();
  return std::nullopt;
}

}  // namespace spillway::tokenizer
