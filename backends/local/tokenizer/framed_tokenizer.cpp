#include "backends/local/tokenizer/framed_tokenizer.h"

#include "backends/local/tokenizer/framed_tokenizer_internal.h"

namespace spillway::tokenizer {
namespace {

std::vector<TokenId> encoded(const Tokenizer& by, std::string_view text, std::size_t /*max*/) {
  return by.encode(text);
}

template <class Pieces>
std::vector<TokenId> encoded(const Pieces& by, std::string_view text, std::size_t tokens_max) {
  return by.encode(text, tokens_max);
}

}  // namespace

std::vector<TokenId> FramedTokenizer::encode(std::string_view text, std::size_t tokens_max) const {
  return std::visit([&](const auto& one) { return encoded(one, text, tokens_max); }, kind);
}

int FramedTokenizer::size() const {
  return std::visit([](const auto& one) { return one.size(); }, kind);
}

Result<FramedTokenizer> framed_tokenizer_from_json(std::string_view text) {
  const auto json = loader::parse_json(text, "tokenizer.json");
  if (!json) return json.error();
  const std::string_view type = text_at(at_or_null(*json, "model"), "type");
  if (type == "WordPiece") return read_word_piece(*json);
  if (type == "Unigram") return read_unigram(*json);
  return read_bpe(*json);
}

}  // namespace spillway::tokenizer
