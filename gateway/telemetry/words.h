// The closed sets of label values. Every label of a counted series takes its values from one of
// these vocabularies; whatever is not in it becomes `_other`, so that traffic can never grow the
// number of series.
//
// A Vocabulary is immutable: any thread may read it. Extending makes a new one in which every known
// word keeps its number, so that numbers stay valid for as long as the process lives.
#pragma once

#include "gateway/telemetry/closed_sets.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace spillway::telemetry {

// A label value as a number: its place in the label's vocabulary.
using Word = std::uint16_t;
constexpr Word kNothing = 0;  // The label is left out.
constexpr Word kOther = 1;    // A value outside the closed set.
constexpr Word kFirstWord = 2;

enum class Words : std::uint8_t {
  // From the configuration; a reload may add to them.
  request_class,
  target,
  model,
  tenant,
  reason,
  rule,
  // Fixed.
  operation,
  error,
  code,
  stream,
  phase,
  objective,
  side,
  token,
  locality,
  saving,
  hedged,
  stage,
  shed,
  folded,
  // The value is given at scrape time by the gateway itself (a listener, a version, a hash).
  given,
};
constexpr std::size_t kConfiguredVocabularies = 6;

// Fixed words, in the order of their vocabularies.
enum class Operation { chat, completion, embeddings, messages, responses };
enum class Phase { decide, dispatch };
enum class Objective { ttft, per_token };
enum class Side { early, late };  // Of the first token, against its prediction.
enum class Token { input, output, cached_input, reasoning };
enum class Locality { local, cloud };
enum class Saving { local };
enum class Stage { before_first_token, streaming };
enum class Shed { rate, budget, overload, deadline, no_route };
enum class Folded { request_class, target, model, tenant, reason, rule, series_max };

template <class Enumerator>
constexpr Word word(Enumerator value) {
  return static_cast<Word>(kFirstWord + static_cast<int>(value));
}

class Vocabulary {
 public:
  Vocabulary();
  Vocabulary(const Vocabulary&) =
      delete;  // The look-up tables point into this object's own strings.

  // This vocabulary and the new words of `sets`.
  explicit Vocabulary(const Vocabulary& before, const ClosedSets& sets);

  // The number of `text` in a configured vocabulary: kNothing if empty, kOther if unknown.
  Word find(Words words, std::string_view text) const;

  // REQUIRES: `word` came from this vocabulary or an earlier one, and is not kNothing.
  std::string_view text(Words words, Word word) const;

  // Words of all configured vocabularies together: grows with every new one.
  std::size_t words_in_all() const;

  // Whether this is one of the reasons that sent a request away from home.
  bool is_spill(Word reason) const;

  // Words of a vocabulary without `_other`: for series that start at zero.
  std::size_t size(Words words) const;

 private:
  struct Set {
    std::vector<std::string> texts;
    std::unordered_map<std::string_view, Word> numbers;
  };

  void remember_spills(const std::vector<std::string>& reasons);
  void add(Words words, const std::vector<std::string>& texts);

  std::array<Set, kConfiguredVocabularies> configured_;
  std::vector<std::string> spill_reasons_;
  std::vector<bool> spills_;  // By word of Words::reason.
};

}  // namespace spillway::telemetry
