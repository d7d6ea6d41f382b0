// The tokenizer of a decoder, BPE or Unigram: text to token ids, exactly as the Hugging Face
// `tokenizers` library does it, and, of BPE pieces with scores, SentencePiece.
//
// Immutable once made, so any thread may encode; HTTP workers do, never the engine's thread. Owns
// its tables. The order of work is that library's: special tokens and added words are cut out
// first, the rest is normalised, and those that are looked for there are cut out of it. What is
// left is split by the pre-tokenizer's pattern. BPE spells each piece (spelling.h), and merges
// apply in order of rank, leftmost first; Unigram cuts it where the scores are best (unigram.h).
//
// Input marking: what a user writes must never become a control token. Callers say for each stretch
// of text whether it is control text (a template's own words) or plain; special tokens are
// recognised only where they lie wholly inside control text. Everything else about the joined text,
// such as where words break, is as if nothing were marked; but where special tokens are looked for
// in normalised text, stretches of control text and of plain are normalised apart, so that it is
// known what either became. Bytes that are not UTF-8 are encoded as themselves and belong to no
// character class.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/tokenizer/normalizer.h"
#include "backends/local/tokenizer/pre_tokenizer.h"
#include "backends/local/tokenizer/spelling.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::tokenizer {

using TokenId = std::int32_t;

// Where text gets a space in front that nobody wrote.
enum class LeadingSpace {
  none,
  each,          // Every text that is normalised.
  each_unless,   // Every stretch between whole tokens, unless it begins with one.
  first_unless,  // The first, if no token is before it.
};

// Which spaces decoding does not show, as encoding put one in front.
enum class DroppedSpaces { none, first, of_first_token };

// A token that is cut out of text whole.
struct AddedToken {
  TokenId id;
  bool special = false;      // A control token, in control text only; others wherever they are.
  bool normalized = false;   // Both it and the text are as the normalizers have them.
  bool single_word = false;  // Not beside a letter, a digit or their like.
  bool takes_left = false;   // The blanks before it are its own,
  bool takes_right = false;  // …or those behind it.
  bool is_word = true;       // Pieces of text may become it, too: it is of the model's vocabulary.
};

// What a model file says about its tokenizer. Ids are positions in `tokens`.
struct Vocabulary {
  std::vector<std::string_view> tokens;  // As their writing has them, specials literally.
  std::vector<double> scores;            // Of Unigram: of the first tokens. Else there are merges.
  std::vector<std::pair<std::string_view, std::string_view>> merges;  // Best first.
  std::vector<std::uint32_t> ranks;  // Of merges, where some are as good as others: their places.
  std::vector<AddedToken> added;
  std::vector<Normalizer> normalizers;  // Before all else, one after the other.
  std::vector<SplitRule> split;         // Applied one after the other.
  Writing writing = Writing::bytes;
  LeadingSpace leading_space = LeadingSpace::none;  // Of characters.
  bool normalizer_marks_spaces = true;              // Of characters: else the pre-tokenizer does.
  TokenId unknown = -1;                             // Of characters.
  bool spells_bytes = false;                        // Of Unigram, as UnigramVocabulary's.
  DroppedSpaces dropped_spaces = DroppedSpaces::none;
  bool ignore_merges = false;  // A piece that is a token needs no merges (Llama 3).
};

struct Segment {
  std::string_view text;
  bool control = false;
};

class Tokenizer {
 public:
  // Copies what it needs. An error says which token or merge does not fit.
  static Result<Tokenizer> make(const Vocabulary& vocabulary);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Plain text: special tokens in it are ordinary characters.
  std::vector<TokenId> encode(std::string_view text) const;

  // Control text: special tokens in it become their ids.
  std::vector<TokenId> encode_control(std::string_view text) const;

  // The segments joined, see "input marking" above.
  std::vector<TokenId> encode(std::span<const Segment> segments) const;

  // The same, or nothing if it is more than `tokens_max` ids: not all of such a text is read to
  // find that out, and nothing of one that is longer than so many of the longest tokens.
  std::optional<std::vector<TokenId>> encode_at_most(std::size_t tokens_max,
                                                     std::span<const Segment> segments) const;

  int size() const;

  // The bytes a token stands for (not always whole UTF-8). Requires: 0 <= id < size().
  std::string_view bytes_of(TokenId id) const;
  bool is_special(TokenId id) const;
  DroppedSpaces dropped_spaces() const;

 private:
  struct Tables;
  class Encoding;
  explicit Tokenizer(std::unique_ptr<const Tables> tables);

  std::unique_ptr<const Tables> tables_;
};

}  // namespace spillway::tokenizer
