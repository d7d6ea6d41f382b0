#include "backends/local/tokenizer/gguf_vocabulary.h"

#include "backends/local/tokenizer/scored_pieces.h"
#include "backends/local/tokenizer/split_rules.h"

#include <cmath>
#include <initializer_list>
#include <limits>
#include <string>

namespace spillway::tokenizer {
namespace {

// Values of "tokenizer.ggml.token_type".
constexpr std::int64_t kNormalToken = 1;
constexpr std::int64_t kUnknownToken = 2;
constexpr std::int64_t kControlToken = 3;
constexpr std::int64_t kUserDefinedToken = 4;

constexpr std::size_t kPieceBytesMax = 256;  // SentencePiece makes pieces of 16 characters.

Error unsupported(const std::string& key, std::string_view value) {
  return Error{Errc::internal, key + " is \"" + std::string(value) + "\", which is not supported"};
}

Result<void> read_split(const loader::Metadata& metadata, Vocabulary& vocabulary) {
  const std::string key = "tokenizer.ggml.pre";
  const auto name = metadata.text(key);
  if (!name) return name.error();
  auto split = named_split(*name);
  if (!split) return unsupported(key, *name);
  vocabulary.split = std::move(split->rules);
  vocabulary.ignore_merges = split->ignore_merges;
  if (split->composes) vocabulary.normalizers.emplace_back(UnicodeForm{});
  return {};
}

Result<void> read_merges(const loader::Metadata& metadata, Vocabulary& vocabulary) {
  const auto merges = metadata.texts("tokenizer.ggml.merges");
  if (!merges) return merges.error();
  vocabulary.merges.reserve(merges->size());
  for (const std::string_view merge : *merges) {
    const std::size_t space = merge.find(' ');  // The alphabet itself has no space.
    if (space == std::string_view::npos) {
      return Error{Errc::internal,
                   "tokenizer.ggml.merges has \"" + std::string(merge) + "\", not two tokens"};
    }
    vocabulary.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return {};
}

// As many as there are tokens; else an error that names the key.
template <class Number>
Result<std::vector<Number>> for_each_token(const std::string& key,
                                           Result<std::vector<Number>> numbers,
                                           const Vocabulary& vocabulary) {
  if (!numbers || numbers->size() == vocabulary.tokens.size()) return numbers;
  return Error{Errc::internal, key + " has " + std::to_string(numbers->size()) + " entries for " +
                                   std::to_string(vocabulary.tokens.size()) + " tokens"};
}

Result<std::vector<std::int64_t>> token_types(const loader::Metadata& metadata,
                                              const Vocabulary& vocabulary) {
  const std::string key = "tokenizer.ggml.token_type";
  return for_each_token(key, metadata.integers(key), vocabulary);
}

Result<void> read_token_types(const loader::Metadata& metadata, Vocabulary& vocabulary) {
  const auto types = token_types(metadata, vocabulary);
  if (!types) return types.error();
  const bool of_characters = vocabulary.writing == Writing::characters;
  for (std::size_t at = 0; at < types->size(); ++at) {
    const auto id = static_cast<TokenId>(at);
    const std::int64_t type = (*types)[at];
    const bool unknown = type == kUnknownToken && of_characters;
    if (unknown && vocabulary.unknown < 0) vocabulary.unknown = id;
    const bool special = type == kControlToken || unknown;
    if (special || type == kUserDefinedToken)
      vocabulary.added.push_back({.id = id, .special = special});
  }
  return {};
}

// Gemma's tokens of several spaces, which a file has as they look in a text. Their model marks them
// and merges them before all else, so that a ▁ in the text itself is one of them: "▁ " is "▁▁".
void merge_runs_of_spaces(Vocabulary& vocabulary, std::vector<std::int64_t>& types,
                          std::vector<double>& scores) {
  static const std::string longest =
      with_marked_spaces(std::string(kPieceBytesMax / kMarkedSpace.size(), ' '));
  for (std::size_t id = 0; id < types.size(); ++id) {
    std::string_view& token = vocabulary.tokens[id];
    const std::size_t marked_bytes = token.size() * kMarkedSpace.size();
    const bool is_run = token.find_first_not_of(' ') == std::string_view::npos;
    if (types[id] != kUserDefinedToken || !is_run || marked_bytes > longest.size()) continue;
    token = std::string_view(longest).substr(0, marked_bytes);
    types[id] = kNormalToken;
    scores[id] = std::numeric_limits<double>::infinity();
  }
}

Result<void> read_scores(const loader::Metadata& metadata, Vocabulary& vocabulary) {
  const std::string key = "tokenizer.ggml.scores";
  auto scores = for_each_token(key, metadata.numbers(key), vocabulary);
  if (!scores) return scores.error();
  auto types = token_types(metadata, vocabulary);
  if (!types) return types.error();
  if (vocabulary.leading_space == LeadingSpace::none)
    merge_runs_of_spaces(vocabulary, *types, *scores);
  std::vector<bool> merges;
  for (std::size_t id = 0; id < scores->size(); ++id) {
    if (std::isnan((*scores)[id]))
      return Error{Errc::internal, key + ": that of token " + std::to_string(id) + " is no number"};
    merges.push_back((*types)[id] == kNormalToken);
    if (merges.back() && vocabulary.tokens[id].size() > kPieceBytesMax)
      return Error{Errc::internal, "tokenizer.ggml.tokens: token " + std::to_string(id) +
                                       " is longer than " + std::to_string(kPieceBytesMax) +
                                       " bytes"};
  }
  auto [pairs, ranks] = merges_by_score(vocabulary.tokens, *scores, merges);
  vocabulary.merges = std::move(pairs);
  vocabulary.ranks = std::move(ranks);
  return {};
}

// What SentencePiece does to text before it looks for pieces.
Result<void> read_spaces(const loader::Metadata& metadata, Vocabulary& vocabulary) {
  const auto prefix = metadata.flag("tokenizer.ggml.add_space_prefix", true);
  if (!prefix) return prefix.error();
  const std::string key = "tokenizer.ggml.remove_extra_whitespaces";
  const auto removes = metadata.flag(key, false);
  if (!removes) return removes.error();
  if (*removes) return unsupported(key, "true");
  vocabulary.leading_space = *prefix ? LeadingSpace::each : LeadingSpace::none;
  if (*prefix) vocabulary.dropped_spaces = DroppedSpaces::first;
  return {};
}

using Read = Result<void> (*)(const loader::Metadata&, Vocabulary&);

Result<void> read_all(std::initializer_list<Read> parts, const loader::Metadata& metadata,
                      Vocabulary& vocabulary) {
  for (const Read read : parts) {
    const auto done = read(metadata, vocabulary);
    if (!done) return done.error();
  }
  return {};
}

}  // namespace

bool usually_adds_begin(const loader::Metadata& metadata) {
  const auto model = metadata.text("tokenizer.ggml.model");
  if (model && *model == "llama") return true;
  const auto name = metadata.text("tokenizer.ggml.pre");
  const auto split = name ? named_split(*name) : std::nullopt;
  return split && split->adds_begin;
}

Result<Tokenizer> tokenizer_from(const loader::Metadata& metadata) {
  const std::string key = "tokenizer.ggml.model";
  const auto model = metadata.text(key);
  if (!model) return model.error();
  const bool of_bytes = *model == "gpt2";
  if (!of_bytes && *model != "llama") return unsupported(key, *model);

  Vocabulary vocabulary;
  vocabulary.writing = of_bytes ? Writing::bytes : Writing::characters;
  auto tokens = metadata.texts("tokenizer.ggml.tokens");
  if (!tokens) return tokens.error();
  vocabulary.tokens = std::move(*tokens);
  const auto done =
      of_bytes ? read_all({read_split, read_merges, read_token_types}, metadata, vocabulary)
               : read_all({read_spaces, read_scores, read_token_types}, metadata, vocabulary);
  if (!done) return done.error();
  return Tokenizer::make(vocabulary);
}

}  // namespace spillway::tokenizer
