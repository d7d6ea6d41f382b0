#include "backends/local/tokenizer/tokenizer_json.h"

#include "backends/local/tokenizer/framed_tokenizer_internal.h"
#include "backends/local/tokenizer/json_parts_internal.h"
#include "backends/local/tokenizer/normalizer_json_internal.h"
#include "backends/local/tokenizer/split_rules.h"

#include <algorithm>
#include <optional>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

namespace spillway::tokenizer {
namespace {

using loader::at_or_null;
using loader::Json;

constexpr std::size_t kRulesMax = 16;

class JsonReader {
 public:
  explicit JsonReader(const Json& json) : json_(json), model_(at_or_null(json, "model")) {}

  Result<JsonTokenizer> read() {
    for (const auto step :
         {&JsonReader::read_model, &JsonReader::read_words, &JsonReader::read_added,
          &JsonReader::read_merges, &JsonReader::read_normalizer, &JsonReader::read_split,
          &JsonReader::read_decoder}) {
      const auto done = (this->*step)();
      if (!done) return done.error();
    }
    auto tokenizer = Tokenizer::make(vocabulary_);
    if (!tokenizer) return tokenizer.error();
    return JsonTokenizer{std::move(*tokenizer), begin_token()};
  }

  // The tokens of the file, once it was read.
  std::span<const std::string_view> tokens() const { return vocabulary_.tokens; }

 private:
  Result<void> read_model() {
    const std::string_view type = text_at(model_, "type");
    is_unigram_ = type == "Unigram";
    if (!type.empty() && type != "BPE" && !is_unigram_)
      return wrong("model.type " + std::string(type) + " is not supported: BPE and Unigram are");
    for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
      const Json& value = at_or_null(model_, key);
      if (!value.is_null() && value != "" && value != 0.0)
        return wrong("model." + std::string(key) + " is not supported");
    }
    vocabulary_.ignore_merges = is_set(model_, "ignore_merges");
    if (is_set(model_, "byte_fallback") || is_unigram_) vocabulary_.writing = Writing::characters;
    return {};
  }

  Result<void> read_words() {
    if (is_unigram_) return read_pieces();
    const Json& words = at_or_null(model_, "vocab");
    if (!words.is_object() || words.empty()) return wrong("model.vocab is missing");
    for (const auto& [text, id] : words.items()) {
      const auto put_in = put_token(text, id, vocabulary_.tokens);
      if (!put_in) return put_in;
    }
    const std::string_view unknown = text_at(model_, "unk_token");
    const auto found = unknown.empty() ? words.end() : words.find(unknown);
    if (found != words.end()) vocabulary_.unknown = found->get<TokenId>();
    return {};
  }

  Result<void> read_pieces() {
    UnigramVocabulary pieces;
    const auto read = read_unigram_pieces(model_, pieces);
    if (!read) return read.error();
    vocabulary_.tokens = std::move(pieces.tokens);
    vocabulary_.scores = std::move(pieces.scores);
    vocabulary_.unknown = pieces.unknown;
    vocabulary_.spells_bytes = pieces.spells_bytes;
    return {};
  }

  Result<void> read_added() {
    const Json& words = at_or_null(model_, "vocab");
    std::unordered_set<std::string_view> contents;
    for (const Json& added : at_or_null(json_, "added_tokens")) {
      const Json& content = at_or_null(added, "content");
      if (!content.is_string()) return wrong("added_tokens: one has no content");
      const auto& text = content.get_ref<const std::string&>();
      const auto put_in = put_token(text, at_or_null(added, "id"), vocabulary_.tokens);
      if (!put_in) return put_in;
      if (!contents.insert(text).second) return wrong(shown(content) + " is added twice");
      if (vocabulary_.ignore_merges && is_set(added, "single_word") && is_set(added, "special"))
        return wrong("this added token is not supported beside ignore_merges: " + shown(added));
      vocabulary_.added.push_back({.id = at_or_null(added, "id").get<TokenId>(),
                                   .special = is_set(added, "special"),
                                   .normalized = is_set(added, "normalized"),
                                   .single_word = is_set(added, "single_word"),
                                   .takes_left = is_set(added, "lstrip"),
                                   .takes_right = is_set(added, "rstrip"),
                                   .is_word = is_unigram_ || words.contains(text)});
    }
    return {};
  }

  Result<void> read_merges() {
    if (is_unigram_) return {};
    const Json& merges = at_or_null(model_, "merges");
    if (!merges.is_array()) return wrong("model.merges is missing");
    vocabulary_.merges.reserve(merges.size());
    for (const Json& merge : merges) {
      if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        vocabulary_.merges.emplace_back(merge[0].get_ref<const std::string&>(),
                                        merge[1].get_ref<const std::string&>());
        continue;
      }
      const std::string_view both =
          merge.is_string() ? std::string_view(merge.get_ref<const std::string&>()) : "";
      const std::size_t space = both.find(' ');  // No token that is merged has one.
      if (space == std::string_view::npos)
        return wrong("model.merges has " + shown(merge) + ", not two tokens");
      vocabulary_.merges.emplace_back(both.substr(0, space), both.substr(space + 1));
    }
    return {};
  }

  Result<void> read_normalizer() {
    const bool characters = vocabulary_.writing == Writing::characters;
    const auto parts = parts_of(at_or_null(json_, "normalizer"), "normalizers");
    if (parts.size() > kNormalizersMax) return wrong("normalizer has more than 16 parts");
    for (const Json* part : parts) {
      const std::string_view type = text_at(*part, "type");
      const bool marks_spaces = type == "Replace" && pattern_of(*part) == " " &&
                                text_at(*part, "content") == kMarkedSpace;
      const bool prepends = type == "Prepend" && text_at(*part, "prepend") == kMarkedSpace;
      if (prepends && characters && vocabulary_.leading_space == LeadingSpace::none) {
        vocabulary_.leading_space = LeadingSpace::each;
      } else if (!marks_spaces || !characters) {
        const auto put = put_normalizer(*part);
        if (!put) return put;
      }
      marks_spaces_ = marks_spaces_ || marks_spaces;
    }
    vocabulary_.normalizer_marks_spaces = marks_spaces_;
    return {};
  }

  // Before spaces are marked only: that is done last.
  Result<void> put_normalizer(const Json& part) {
    auto normalizer = normalizer_of(part);
    if (!normalizer) return normalizer.error();
    if (marks_spaces_ || vocabulary_.leading_space != LeadingSpace::none)
      return wrong("this normalizer is not supported where it stands: " + shown(part));
    vocabulary_.normalizers.push_back(std::move(*normalizer));
    return {};
  }

  Result<void> read_split() {
    const auto parts = parts_of(at_or_null(json_, "pre_tokenizer"), "pretokenizers");
    if (parts.size() > kRulesMax) return wrong("pre_tokenizer has more than 16 parts");
    for (const Json* part : parts) {
      const std::string_view type = text_at(*part, "type");
      const bool known = type == "Split"       ? read_pattern(*part)
                         : type == "ByteLevel" ? read_byte_level(*part)
                         : type == "Metaspace" ? read_metaspace(*part)
                         : type == "Digits"    ? read_digits(*part)
                                               : false;
      if (!known) return wrong("this pre_tokenizer is not supported: " + shown(*part));
    }
    const bool characters = vocabulary_.writing == Writing::characters;
    if (characters && !marks_spaces_)
      return wrong("a model of characters without ▁ for spaces is not supported");
    if (!characters && !byte_level_)
      return wrong("a model without ByteLevel or byte_fallback is not supported");
    return {};
  }

  bool read_pattern(const Json& part) {
    if (is_set(part, "invert")) return false;
    const std::string_view pattern = pattern_of(part);
    if (marks_spaces_ && pattern == " ") return true;  // There are none left by then.
    if (text_at(part, "behavior") != "Isolated") return false;
    const auto rule = split_rule_of(pattern);
    if (rule) vocabulary_.split.push_back(*rule);
    return rule.has_value();
  }

  bool read_byte_level(const Json& part) {
    if (is_set(part, "add_prefix_space") || vocabulary_.writing != Writing::bytes) return false;
    if (!at_or_null(part, "use_regex").is_boolean() || is_set(part, "use_regex"))
      vocabulary_.split.push_back(KnownSplit::gpt2);
    byte_level_ = true;
    return true;
  }

  bool read_metaspace(const Json& part) {
    if (vocabulary_.writing != Writing::characters || text_at(part, "replacement") != kMarkedSpace)
      return false;
    const std::string_view scheme = prepend_scheme_of(part);
    const bool is_first = vocabulary_.split.empty() &&  // It would prepend to every piece.
                          vocabulary_.leading_space == LeadingSpace::none;
    if (!is_first && scheme != "never") return false;
    if (scheme == "first") vocabulary_.leading_space = LeadingSpace::first_unless;
    if (scheme == "always") vocabulary_.leading_space = LeadingSpace::each_unless;
    if (at_or_null(part, "split") != false)
      vocabulary_.split.push_back(KnownSplit::before_marked_space);
    marks_spaces_ = true;
    return scheme == "first" || scheme == "always" || scheme == "never";
  }

  bool read_digits(const Json& part) {
    vocabulary_.split.push_back(KnownSplit::each_digit);
    return is_set(part, "individual_digits");
  }

  Result<void> read_decoder() {
    for (const Json* part : parts_of(at_or_null(json_, "decoder"), "decoders")) {
      const std::string_view type = text_at(*part, "type");
      const bool strips = type == "Strip" && text_at(*part, "content") == " " &&
                          at_or_null(*part, "start") == 1 && at_or_null(*part, "stop") == 0;
      const bool shows_spaces = type == "Replace" && pattern_of(*part) == kMarkedSpace &&
                                text_at(*part, "content") == " ";
      const bool known = strips || shows_spaces || type == "Metaspace" || type == "ByteLevel" ||
                         type == "ByteFallback" || type == "Fuse";
      if (!known) return wrong("this decoder is not supported: " + shown(*part));
      if (strips) vocabulary_.dropped_spaces = DroppedSpaces::first;
      if (type == "Metaspace" && prepend_scheme_of(*part) != "never")
        vocabulary_.dropped_spaces = DroppedSpaces::of_first_token;
    }
    return {};
  }

  // TemplateProcessing's first piece, where that is a token.
  std::string begin_token() const {
    for (const Json* part : parts_of(at_or_null(json_, "post_processor"), "processors")) {
      const Json& single = at_or_null(*part, "single");
      if (text_at(*part, "type") != "TemplateProcessing" || !single.is_array() || single.empty())
        continue;
      return std::string(text_at(at_or_null(single[0], "SpecialToken"), "id"));
    }
    return {};
  }

  const Json& json_;
  const Json& model_;
  bool is_unigram_ = false;
  bool marks_spaces_ = false;
  bool byte_level_ = false;
  Vocabulary vocabulary_;
};

}  // namespace

Result<FramedTokenizer> read_bpe(const Json& json) {
  JsonReader reader(json);
  auto read = reader.read();
  if (!read) return read.error();
  auto frame = frame_of(json, reader.tokens());
  if (!frame) return frame.error();
  return FramedTokenizer{std::move(read->tokenizer), std::move(*frame)};
}

Result<JsonTokenizer> tokenizer_from_json(std::string_view text) {
  const auto json = loader::parse_json(text, "tokenizer.json");
  if (!json) return json.error();
  return JsonReader(*json).read();
}

}  // namespace spillway::tokenizer
