#include "backends/local/tokenizer/word_piece_json.h"

#include "backends/local/tokenizer/json_parts_internal.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

namespace spillway::tokenizer {
namespace {

constexpr int kWordCharactersMax = 10'000;

// Of a token's name and its id.
const Json& first_of(const Json& pair) {
  static const Json kNone;
  return pair.is_array() && !pair.empty() ? pair[0] : kNone;
}

class WordPieceReader {
 public:
  explicit WordPieceReader(const Json& json) : json_(json), model_(at_or_null(json, "model")) {}

  Result<JsonWordPiece> read() {
    for (const auto step :
         {&WordPieceReader::read_model, &WordPieceReader::read_words, &WordPieceReader::read_added,
          &WordPieceReader::read_text, &WordPieceReader::read_frame}) {
      const auto done = (this->*step)();
      if (!done) return done.error();
    }
    auto words = WordPiece::make(vocabulary_);
    if (!words) return words.error();
    return JsonWordPiece{std::move(*words), std::move(before_), std::move(after_)};
  }

 private:
  Result<void> read_model() {
    if (text_at(model_, "type") != "WordPiece")
      return wrong("model.type is not WordPiece, which encoders of texts have");
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

  Result<void> read_frame() {
    const Json& processor = at_or_null(json_, "post_processor");
    if (processor.is_null()) return {};
    const std::string_view type = text_at(processor, "type");
    if (type == "TemplateProcessing") return read_template(at_or_null(processor, "single"));
    if (type != "BertProcessing")
      return wrong("this post_processor is not supported: " + shown(processor));
    const auto put = put_special(first_of(at_or_null(processor, "cls")), before_);
    return put ? put_special(first_of(at_or_null(processor, "sep")), after_) : put;
  }

  // [CLS] A [SEP]
  Result<void> read_template(const Json& single) {
    bool is_after = false;
    for (const Json& piece : single) {
      const Json& special = at_or_null(piece, "SpecialToken");
      is_after = is_after || special.is_null();
      if (special.is_null()) continue;
      const auto put = put_special(at_or_null(special, "id"), is_after ? after_ : before_);
      if (!put) return put;
    }
    return {};
  }

  Result<void> put_special(const Json& name, std::vector<TokenId>& ids) const {
    const auto id = name.is_string() ? id_of(name.get_ref<const std::string&>()) : std::nullopt;
    if (!id) return wrong("post_processor names " + shown(name) + ", which is no token");
    ids.push_back(*id);
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
  std::vector<TokenId> before_;
  std::vector<TokenId> after_;
};

}  // namespace

Result<JsonWordPiece> word_piece_from_json(std::string_view text) {
  const auto json = loader::parse_json(text, "tokenizer.json");
  if (!json) return json.error();
  return WordPieceReader(*json).read();
}

}  // namespace spillway::tokenizer
