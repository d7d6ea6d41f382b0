#include "backends/local/tokenizer/normalizer.h"

#include "backends/local/tokenizer/class_table.h"
#include "backends/local/tokenizer/composed_form.h"
#include "backends/local/tokenizer/composition_tables.h"
#include "backends/local/tokenizer/decomposed_form.h"
#include "backends/local/tokenizer/lower_case.h"
#include "backends/local/tokenizer/unicode_classes.h"
#include "backends/local/utf8.h"

#include <algorithm>
#include <utility>

namespace spillway::tokenizer {
namespace {

// Calls each(bytes, code) for each character; a byte that is none has no code.
template <class Each>
void each_character(std::string_view text, const Each& each) {
  while (!text.empty()) {
    const auto character = local::utf8::decode(text);
    const bool whole = character.quality == local::utf8::Quality::whole;
    const std::string_view bytes = text.substr(0, whole ? character.length : 1);
    each(bytes, whole ? std::optional(character.code) : std::nullopt);
    text.remove_prefix(bytes.size());
  }
}

bool is_blank(std::optional<char32_t> code) { return code && (classes_of(*code) & kSpace) != 0; }

// Nothing where the text stays as it is.
using Made = std::optional<std::string>;

Made applied(const Charsmap& map, std::string_view text) { return map.applied_to(text); }

Made applied(const Strip& strip, std::string_view text) {
  std::size_t begin = text.size();  // Of what is not blank, and its end.
  std::size_t end = 0;
  std::size_t at = 0;
  each_character(text, [&](std::string_view bytes, std::optional<char32_t> code) {
    if (!is_blank(code)) begin = std::min(begin, at);
    at += bytes.size();
    if (!is_blank(code)) end = at;
  });
  if (!strip.left) begin = 0;
  if (!strip.right) end = text.size();
  return std::string(begin < end ? text.substr(begin, end - begin) : std::string_view());
}

Made applied(const Replacement& by, std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  while (!text.empty()) {
    const std::size_t at = std::min(text.find(by.from), text.size());
    out += text.substr(0, at);
    text.remove_prefix(at);
    std::size_t run = 0;
    do {
      if (!text.substr(run).starts_with(by.from)) break;
      run += by.from.size();
    } while (by.runs);
    const bool stays = by.runs && run < 2 * by.from.size();
    if (run > 0) out += stays ? text.substr(0, run) : std::string_view(by.to);
    text.remove_prefix(run);
  }
  return out;
}

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

Made applied(const UnicodeForm& form, std::string_view text) {
  if (is_ascii(text)) return std::nullopt;
  if (!form.composes) return decomposed_form(text, form.compatible);
  if (!needs_composing(text, form.compatible)) return std::nullopt;
  return composed_form(text, form.compatible);
}

Made applied(const Lowercase& /*all*/, std::string_view text) {
  std::string out;
  out.reserve(text.size());
  each_character(text, [&out](std::string_view bytes, std::optional<char32_t> code) {
    if (code) {
      append_lower(out, *code);
    } else {
      out += bytes;
    }
  });
  return out;
}

Made applied(const StripAccents& /*all*/, std::string_view text) {
  if (is_ascii(text)) return std::nullopt;
  static const ClassTable accents({{accent_ranges, 1}});
  std::string out;
  out.reserve(text.size());
  each_character(text, [&out](std::string_view bytes, std::optional<char32_t> code) {
    if (!code || accents[*code] == 0) out += bytes;
  });
  return out;
}

// One that becomes a single byte: bold 𝐀 in NFKC, the sign of kelvin in lower case.
constexpr std::size_t kCharacterBytesMost = 4;

}  // namespace

std::string_view normalized(std::span<const Normalizer> normalizers, std::string_view text,
                            std::string& held) {
  for (const Normalizer& one : normalizers) {
    Made made =
        std::visit([text](const auto& normalizer) { return applied(normalizer, text); }, one);
    if (!made) continue;
    held = std::move(*made);
    text = held;
  }
  return text;
}

std::optional<std::size_t> most_shrunk(std::span<const Normalizer> normalizers) {
  std::size_t most = 1;
  for (const Normalizer& one : normalizers) {
    const bool keeps_characters =
        std::holds_alternative<UnicodeForm>(one) || std::holds_alternative<Lowercase>(one);
    if (!keeps_characters) return std::nullopt;
    most *= kCharacterBytesMost;
  }
  return most;
}

}  // namespace spillway::tokenizer
