#include "backends/local/tokenizer/tokenizer.h"

#include "backends/local/tokenizer/encoding_internal.h"
#include "backends/local/tokenizer/tokenizer_tables_internal.h"

#include <cassert>
#include <unordered_map>

namespace spillway::tokenizer {
namespace {

constexpr std::size_t kShownMax = 64;

using IdByText = std::unordered_map<std::string_view, TokenId>;

std::string shown(std::string_view token) {
  return '"' + std::string(token.substr(0, kShownMax)) + '"';
}

Error broken(std::string what) { return Error{Errc::internal, "tokenizer: " + std::move(what)}; }

// By id; what is only added has no text here.
std::vector<std::string_view> words_of(const Vocabulary& vocabulary) {
  std::vector<std::string_view> words = vocabulary.tokens;
  for (const AddedToken& added : vocabulary.added) {
    if (!added.is_word) words[added.id] = {};
  }
  return words;
}

Result<MergeTable> merge_table(const Vocabulary& vocabulary, const IdByText& ids) {
  MergeTable table(vocabulary.merges.size());
  for (std::size_t place = 0; place < vocabulary.merges.size(); ++place) {
    const auto& [left, right] = vocabulary.merges[place];
    const auto left_id = ids.find(left);
    const auto right_id = ids.find(right);
    const auto merged_id = ids.find(std::string(left) + std::string(right));
    if (left_id == ids.end() || right_id == ids.end() || merged_id == ids.end()) {
      return broken("merge " + std::to_string(place) + " (\"" + std::string(left) + " " +
                    std::string(right) + "\") names a token that is not in the vocabulary");
    }
    const auto own =
        vocabulary.ranks.empty() ? static_cast<std::uint32_t>(place) : vocabulary.ranks[place];
    table.insert(left_id->second, right_id->second, {own, merged_id->second});
  }
  return table;
}

Spelling spelling_of(const Vocabulary& vocabulary, const std::vector<std::string_view>& words,
                     const IdByText& ids) {
  const auto id_of = [&](std::string_view text) {
    const auto found = ids.find(text);
    return found == ids.end() ? -1 : found->second;
  };
  if (vocabulary.writing == Writing::bytes) return Spelling::of_bytes(id_of);
  return Spelling::of_characters(words, id_of, vocabulary.unknown);
}

// Each is a token, and it is clear which of those that are normalized a text is.
Result<void> added_tokens_fit(const Vocabulary& vocabulary) {
  const SectionText text(vocabulary);
  WholeTokens found;
  for (const AddedToken& added : vocabulary.added) {
    if (added.id < 0 || static_cast<std::size_t>(added.id) >= vocabulary.tokens.size())
      return broken("added token " + std::to_string(added.id) + " is not in the vocabulary");
    if (!added.normalized) continue;
    const std::string_view token = vocabulary.tokens[added.id];
    std::string held;
    const std::string_view normalized = text.normalized(token, true, held);
    if (normalized.empty())
      return broken("added token " + shown(token) + " is normalized to nothing");
    if (!found.add(normalized, added.id, {}))
      return broken("added token " + shown(token) + " is normalized to what another is");
  }
  return {};
}

// A special token that is not found where it stands in control text would be a piece of it to the
// library, as any other, and may not be one here.
Result<Unigram> unigram_of(const Vocabulary& vocabulary) {
  UnigramVocabulary pieces{vocabulary.tokens,  vocabulary.scores,       {},
                           vocabulary.unknown, vocabulary.spells_bytes, {}};
  const SectionText text(vocabulary);
  for (const AddedToken& added : vocabulary.added) {
    if (!added.special) continue;
    const std::string_view token = vocabulary.tokens[added.id];
    std::string held;
    const bool moves = added.normalized && text.normalized(token, true, held) != token;
    if (added.single_word || moves)
      return broken("added token " + shown(token) +
                    ": a special token of Unigram's that is a single word, or changed by the "
                    "normalizer, is not supported");
    pieces.special.push_back(added.id);
  }
  return Unigram::make(pieces);
}

}  // namespace

Result<Tokenizer> Tokenizer::make(const Vocabulary& vocabulary) {
  const auto added = added_tokens_fit(vocabulary);
  if (!added) return added.error();
  if (!vocabulary.scores.empty()) {
    auto unigram = unigram_of(vocabulary);
    if (!unigram) return unigram.error();
    return Tokenizer(
        std::make_unique<const Tables>(vocabulary, std::move(*unigram), std::bitset<256>()));
  }
  const std::vector<std::string_view> words = words_of(vocabulary);
  IdByText ids;
  ids.reserve(words.size());
  for (std::size_t id = 0; id < words.size(); ++id) {
    if (!words[id].empty()) ids.emplace(words[id], static_cast<TokenId>(id));
  }
  auto merges = merge_table(vocabulary, ids);
  if (!merges) return merges.error();
  Spelling spelling = spelling_of(vocabulary, words, ids);
  const auto left_out = spelling.left_out();
  return Tokenizer(std::make_unique<const Tables>(
      vocabulary, Bpe(std::move(spelling), std::move(*merges)), left_out));
}

Tokenizer::Tokenizer(std::unique_ptr<const Tables> tables) : tables_(std::move(tables)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  const Segment segment{text, false};
  return encode({&segment, 1});
}

std::vector<TokenId> Tokenizer::encode_control(std::string_view text) const {
  const Segment segment{text, true};
  return encode({&segment, 1});
}

std::vector<TokenId> Tokenizer::encode(std::span<const Segment> segments) const {
  return *encode_at_most(Tables::kAnyNumber, segments);
}

std::optional<std::vector<TokenId>> Tokenizer::encode_at_most(
    std::size_t tokens_max, std::span<const Segment> segments) const {
  std::vector<Stretch> stretches;
  std::string joined;
  for (const Segment& segment : segments) {
    if (segment.text.empty()) continue;
    if (segments.size() > 1) joined += segment.text;
    const std::size_t end = (stretches.empty() ? 0 : stretches.back().end) + segment.text.size();
    const bool extends = !stretches.empty() && stretches.back().control == segment.control;
    if (extends)
      stretches.back().end = end;
    else
      stretches.push_back({end, segment.control});
  }
  const std::string_view text = segments.size() == 1 ? segments[0].text : joined;
  return Encoding(*tables_, tokens_max).run(text, stretches);
}

int Tokenizer::size() const { return tables_->bytes.size(); }

std::string_view Tokenizer::bytes_of(TokenId id) const {
  assert(id >= 0 && id < size());
  return tables_->bytes[id];
}

bool Tokenizer::is_special(TokenId id) const {
  assert(id >= 0 && id < size());
  return tables_->special[id];
}

DroppedSpaces Tokenizer::dropped_spaces() const { return tables_->dropped_spaces; }

}  // namespace spillway::tokenizer
