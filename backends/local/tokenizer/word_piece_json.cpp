#include "backends/local/tokenizer/framed_tokenizer_internal.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

namespace spillway::tokenizer {
namespace {

constexpr int kWordCharactersMax = 10'000;

class WordPieceReader {
 public:
  explicit WordPieceReader(const Json& json) : json_(json), model_(at_or_null(json, "model")) {}

  Result<FramedTokenizer> read() {
    for (const auto step : {&WordPieceReader::read_model, &WordPieceReader::read_words,
                            &WordPieceReader::read_added, &WordPieceReader::read_text}) {
      const auto done = (this->*step)();
      if (!done) return done.error();
    }
    auto words = WordPiece::make(vocabulary_);
    if (!words) return words.error();
    auto frame = frame_of(json_, vocabulary_.tokens);
    if (!frame) return frame.error();
    return FramedTokenizer{std::move(*words), std::move(*frame)};
  }

 private:
  Result<void> read_model() {
    if (at_or_null(model_, "continuing_subword_prefix").is_string())
      vocabulary_.continuation = text_at(model_, "continuing_subword_prefix");
    const Json& most = at_or_null(model_, "max_input_chars_per_word");
    if (most.is_null()) return {};
    if (!most.is_number_integer() || most < 1 || most > kWordCharactersMax)
      return wrong("model.max_input_chars_per_word is " + shown(most));
    vocabulary_.word_characters_max = most.get<std::size_t>();
    return {};
  }

  Result<void> read_words() {
    const Json& words = at_or_null(model_, "vocab");
    if (!words.is_object() || words.empty()) return wrong("model.vocab is missing");
    for (const auto& [text, id] : words.items()) {
      const auto put = put_token(text, id, vocabulary_.tokens);
      if (!put) return put;
    }
    const auto unknown = id_of(text_at(model_, "unk_token"));
    if (!unknown) return wrong("model.unk_token is not in model.vocab");
    vocabulary_.unknown = *unknown;
    return {};
  }

  Result<void> read_added() {
    for (const Json& added : at_or_null(json_, "added_tokens")) {
      const Json& content = at_or_null(added, "content");
      if (!content.is_string()) return wrong("added_tokens: one has no content");
      const auto& text = content.get_ref<const std::string&>();
      const bool is_plain = !is_set(added, "single_word") && !is_set(added, "lstrip") &&
                            !is_set(added, "rstrip") && is_set(added, "special");
      if (!is_plain) return wrong("this added token is not supported: " + shown(added));
      const auto put = put_token(text, at_or_null(added, "id"), vocabulary_.tokens);
      if (!put) return put;
      vocabulary_.special.push_back(at_or_null(added, "id").get<TokenId>());
    }
    return {};
  }

  Result<void> read_text() {
    const Json& normalizer = at_or_null(json_, "normalizer");
    if (text_at(normalizer, "type") != "BertNormalizer")
      return wrong("this normalizer is not supported: " + shown(normalizer));
    const Json& pre_tokenizer = at_or_null(json_, "pre_tokenizer");
    if (text_at(pre_tokenizer, "type") != "BertPreTokenizer")
      return wrong("this pre_tokenizer is not supported: " + shown(pre_tokenizer));
    BertText& text = vocabulary_.text;
    text.cleans = is_set(normalizer, "clean_text");
    text.spaces_chinese = is_set(normalizer, "handle_chinese_chars");
    text.lowercases = is_set(normalizer, "lowercase");
    const Json& strips = at_or_null(normalizer, "strip_accents");
    text.strips_accents = strips.is_null() ? text.lowercases : strips == true;
    return {};
  }

  std::optional<TokenId> id_of(std::string_view text) const {
    const auto found = std::ranges::find(vocabulary_.tokens, text);
    if (text.empty() || found == vocabulary_.tokens.end()) return std::nullopt;
    return static_cast<TokenId>(found - vocabulary_.tokens.begin());
  }

  const Json& json_;
  const Json& model_;
  WordVocabulary vocabulary_;
};

}  // namespace

Result<FramedTokenizer> read_word_piece(const Json& json) { return WordPieceReader(json).read(); }

}  // namespace spillway::tokenizer
