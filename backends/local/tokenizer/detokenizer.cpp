#include "backends/local/tokenizer/detokenizer.h"

#include "backends/local/utf8.h"

#include <algorithm>
#include <utility>

namespace spillway::tokenizer {

std::string Detokenizer::push(TokenId id) {
  if (id < 0 || id >= tokenizer_->size()) return {};
  if (is_hidden(id)) return {};

  std::string bytes = std::exchange(pending_, {});
  const std::string_view more = tokenizer_->bytes_of(id);
  const bool starts = std::exchange(at_start_, at_start_ && more.empty());
  bytes += starts ? without_dropped_spaces(more) : std::string(more);
  std::string out;
  out.reserve(bytes.size());
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const auto character = local::utf8::decode(rest);
    if (character.quality == local::utf8::Quality::cut_off) {
      pending_ = rest;
      break;
    }
    const bool whole = character.quality == local::utf8::Quality::whole;
    out += whole ? rest.substr(0, character.length) : local::utf8::kReplacement;
    rest.remove_prefix(character.length);
  }
  return out;
}

std::string Detokenizer::without_dropped_spaces(std::string_view first) const {
  std::string text(first);
  if (tokenizer_->dropped_spaces() == DroppedSpaces::of_first_token) {
    std::erase(text, ' ');
  } else if (text.starts_with(' ')) {
    text.erase(0, 1);
  }
  return text;
}

bool Detokenizer::is_hidden(TokenId id) const {
  return special_ == SpecialTokens::skip && tokenizer_->is_special(id) &&
         !std::binary_search(shown_.begin(), shown_.end(), id);
}

std::string Detokenizer::finish() {
  at_start_ = tokenizer_->dropped_spaces() != DroppedSpaces::none;
  return std::exchange(pending_, {}).empty() ? std::string()
                                             : std::string(local::utf8::kReplacement);
}

}  // namespace spillway::tokenizer
