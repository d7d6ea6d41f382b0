#include "backends/local/tokenizer/normalizer_json_internal.h"

#include <string>
#include <utility>

namespace spillway::tokenizer {
namespace {

Result<Normalizer> replacement_of(const Json& part) {
  const bool is_text = at_or_null(at_or_null(part, "pattern"), "String").is_string();
  const bool runs = !is_text && pattern_of(part) == " {2,}";
  if ((!is_text && !runs) || pattern_of(part).empty())
    return wrong("this normalizer is not supported: " + shown(part));
  return Normalizer(Replacement{runs ? " " : std::string(pattern_of(part)),
                                std::string(text_at(part, "content")), runs});
}

}  // namespace

Result<Normalizer> normalizer_of(const Json& part) {
  const std::string_view type = text_at(part, "type");
  if (type == "Precompiled") {
    auto map = Charsmap::from_base64(text_at(part, "precompiled_charsmap"));
    if (!map) return map.error();
    return Normalizer(std::move(*map));
  }
  if (type == "Strip")
    return Normalizer(Strip{is_set(part, "strip_left"), is_set(part, "strip_right")});
  if (type == "Replace") return replacement_of(part);
  if (type == "Lowercase") return Normalizer(Lowercase{});
  if (type == "StripAccents") return Normalizer(StripAccents{});
  if (type == "NFC") return Normalizer(UnicodeForm{true, false});
  if (type == "NFD") return Normalizer(UnicodeForm{false, false});
  if (type == "NFKC") return Normalizer(UnicodeForm{true, true});
  if (type == "NFKD") return Normalizer(UnicodeForm{false, true});
  return wrong("this normalizer is not supported: " + shown(part));
}

}  // namespace spillway::tokenizer
