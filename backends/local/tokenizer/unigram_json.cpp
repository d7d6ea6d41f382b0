#include "backends/local/tokenizer/framed_tokenizer_internal.h"
#include "backends/local/tokenizer/normalizer_json_internal.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace spillway::tokenizer {
namespace {

// A score as the library reads it: the digits as a whole number, by a power of ten. That may be the
// last bit beside the nearest number, which decides between two ways to cut that are as good.
double as_the_library_reads(double score) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), std::abs(score),
                                 std::chars_format::scientific)
                       .ptr;
  std::string_view rest(text.data(), end);
  const std::size_t mark = rest.find('e');
  std::uint64_t digits = 0;
  int exponent = 0;
  for (const char c : rest.substr(0, mark)) {
    if (c != '.') digits = digits * 10 + static_cast<std::uint64_t>(c - '0');
  }
  rest.remove_prefix(mark + 1);
  if (rest.starts_with('+')) rest.remove_prefix(1);
  std::from_chars(rest.data(), rest.data() + rest.size(), exponent);
  exponent -= mark > 1 ? static_cast<int>(mark) - 2 : 0;
  const double power = std::pow(10.0, std::abs(exponent));
  const auto whole = static_cast<double>(digits);
  return std::copysign(exponent < 0 ? whole / power : whole * power, score);
}

class UnigramReader {
 public:
  explicit UnigramReader(const Json& json) : json_(json), model_(at_or_null(json, "model")) {}

  Result<FramedTokenizer> read() {
    for (const auto step : {&UnigramReader::read_words, &UnigramReader::read_added,
                            &UnigramReader::read_normalizers, &UnigramReader::read_pre_tokenizer}) {
      const auto done = (this->*step)();
      if (!done) return done.error();
    }
    auto unigram = Unigram::make(vocabulary_);
    if (!unigram) return unigram.error();
    auto frame = frame_of(json_, vocabulary_.tokens);
    if (!frame) return frame.error();
    return FramedTokenizer{std::move(*unigram), std::move(*frame)};
  }

 private:
  Result<void> read_words() { return read_unigram_pieces(model_, vocabulary_); }

  Result<void> read_added() {
    for (const Json& added : at_or_null(json_, "added_tokens")) {
      const Json& content = at_or_null(added, "content");
      if (!content.is_string()) return wrong("added_tokens: one has no content");
      if (!is_set(added, "special"))
        return wrong("this added token is not supported: " + shown(added));
      const auto put = put_token(content.get_ref<const std::string&>(), at_or_null(added, "id"),
                                 vocabulary_.tokens);
      if (!put) return put;
      vocabulary_.special.push_back(at_or_null(added, "id").get<TokenId>());
    }
    return {};
  }

  Result<void> read_normalizers() {
    const auto parts = parts_of(at_or_null(json_, "normalizer"), "normalizers");
    if (parts.size() > kNormalizersMax) return wrong("normalizer has more than 16 parts");
    for (const Json* part : parts) {
      auto normalizer = normalizer_of(*part);
      if (!normalizer) return normalizer.error();
      vocabulary_.text.normalizers.push_back(std::move(*normalizer));
    }
    return {};
  }

  // Metaspace, and perhaps WhitespaceSplit before it.
  Result<void> read_pre_tokenizer() {
    const Json& all = at_or_null(json_, "pre_tokenizer");
    auto parts = parts_of(all, "pretokenizers");
    UnigramText& text = vocabulary_.text;
    text.splits_at_blanks = !parts.empty() && text_at(*parts.front(), "type") == "WhitespaceSplit";
    if (text.splits_at_blanks) parts.erase(parts.begin());
    if (parts.size() != 1 || !read_metaspace(*parts.front()))
      return wrong("this pre_tokenizer is not supported: " + shown(all));
    return {};
  }

  bool read_metaspace(const Json& part) {
    if (text_at(part, "type") != "Metaspace" || text_at(part, "replacement") != kMarkedSpace)
      return false;
    UnigramText& text = vocabulary_.text;
    const std::string_view scheme = prepend_scheme_of(part);
    text.splits_at_marks = at_or_null(part, "split") != false;
    text.prepends_mark = scheme != "never";
    // The first word only: of one word that is each, and of several no encoder has it.
    const bool is_first = scheme == "first" && !text.splits_at_blanks;
    return is_first || scheme == "always" || scheme == "never";
  }

  const Json& json_;
  const Json& model_;
  UnigramVocabulary vocabulary_;
};

}  // namespace

Result<void> read_unigram_pieces(const Json& model, UnigramVocabulary& vocabulary) {
  const Json& words = at_or_null(model, "vocab");
  if (!words.is_array() || words.empty()) return wrong("model.vocab is missing");
  for (const Json& word : words) {
    if (!word.is_array() || word.size() != 2 || !word[0].is_string() || !word[1].is_number())
      return wrong("model.vocab has " + shown(word) + ", not a token and its score");
    vocabulary.tokens.emplace_back(word[0].get_ref<const std::string&>());
    vocabulary.scores.push_back(as_the_library_reads(word[1].get<double>()));
  }
  const Json& unknown = at_or_null(model, "unk_id");
  if (!unknown.is_number_unsigned() || unknown >= words.size())
    return wrong("model.unk_id is " + shown(unknown) + ", and no token of model.vocab");
  vocabulary.unknown = unknown.get<TokenId>();
  vocabulary.spells_bytes = is_set(model, "byte_fallback");
  return {};
}

Result<FramedTokenizer> read_unigram(const Json& json) { return UnigramReader(json).read(); }

}  // namespace spillway::tokenizer
