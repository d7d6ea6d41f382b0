#include "backends/local/tokenizer/canonical_tables.h"

#include "backends/local/tokenizer/compatibility_tables.h"
#include "backends/local/tokenizer/composition_tables.h"

#include <algorithm>

namespace spillway::tokenizer {
namespace {

using namespace hangul;

constexpr char32_t kCodePoints = 0x110000;
constexpr std::uint32_t kNotMadeAgain = 8;

bool is_among(char32_t c, char32_t first, char32_t count) {
  return c >= first && c < first + count;
}

std::uint64_t pair_of(char32_t first, char32_t second) {
  return std::uint64_t{first} << 21 | second;
}

}  // namespace

CanonicalTables::CanonicalTables() : touched_(kCodePoints) {
  read_decompositions();
  read_compatibility();
  read_classes();
  for (const auto& [pair, made] : composed_) touched_[pair & 0x1FFFFF] = true;
  for (char32_t c = kVowels; c < kTails + kTailCount; ++c) touched_[c] = true;
}

const CanonicalTables& CanonicalTables::get() {
  static const CanonicalTables all;
  return all;
}

std::uint8_t CanonicalTables::class_of(char32_t c) const {
  const auto found = classes_.find(c);
  return found == classes_.end() ? std::uint8_t{0} : found->second;
}

std::span<const std::uint32_t> CanonicalTables::parts_of(char32_t c) const {
  const auto found = parts_.find(c);
  return found == parts_.end() ? std::span<const std::uint32_t>() : found->second;
}

std::span<const std::uint32_t> CanonicalTables::compatible_parts_of(char32_t c) const {
  const auto found = compatible_parts_.find(c);
  return found == compatible_parts_.end() ? parts_of(c) : found->second;
}

char32_t CanonicalTables::made_of(char32_t first, char32_t second) const {
  if (is_among(first, kLeads, kLeadCount) && is_among(second, kVowels, kVowelCount))
    return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTailCount;
  const bool is_open = is_syllable(first) && (first - kSyllables) % kTailCount == 0;
  if (is_open && is_among(second, kTails + 1, kTailCount - 1)) return first + (second - kTails);
  const auto found = composed_.find(pair_of(first, second));
  return found == composed_.end() ? U'\0' : found->second;
}

// Those of fewer parts first: a longer one is made of what its first parts make, and the last.
void CanonicalTables::read_decompositions() {
  std::vector<char32_t> made_again;
  const auto steps = decomposition_steps;
  char32_t c = 0;
  for (std::size_t i = 0; i < steps.size();) {
    c += steps[i];
    const std::size_t count = steps[i + 1] % kNotMadeAgain;
    parts_[c] = steps.subspan(i + 2, count);
    touched_[c] = steps[i + 1] >= kNotMadeAgain;
    if (!touched_[c]) made_again.push_back(c);
    i += 2 + count;
  }
  std::ranges::stable_sort(made_again, {}, [&](char32_t one) { return parts_[one].size(); });
  for (const char32_t one : made_again) {
    const auto parts = parts_[one];
    char32_t first = parts.front();
    for (const char32_t next : parts.subspan(1, parts.size() - 2)) first = made_of(first, next);
    composed_[pair_of(first, parts.back())] = one;
  }
}

void CanonicalTables::read_compatibility() {
  char32_t c = 0;
  for (auto rest = compatibility_steps; !rest.empty();) {
    c += rest[0];
    const auto parts = rest.subspan(3, rest[2]);
    for (std::uint32_t i = 0; i < rest[1]; ++i, ++c) {
      auto& own = compatible_parts_[c];
      own.assign(parts.begin(), parts.end());
      own.front() += i;
    }
    rest = rest.subspan(3 + parts.size());
  }
}

void CanonicalTables::read_classes() {
  char32_t c = 0;
  for (std::size_t i = 0; i < combining_steps.size(); i += 3) {
    c += combining_steps[i];
    for (std::uint32_t taken = 0; taken < combining_steps[i + 1]; ++taken, ++c) {
      classes_[c] = static_cast<std::uint8_t>(combining_steps[i + 2]);
      touched_[c] = true;
    }
  }
}

}  // namespace spillway::tokenizer
