#include "gateway/policy/length.h"

#include "backends/contract/name_hash.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <utility>

namespace spillway::policy {

void AnswerLength::Mean::add(int value) {
  constexpr int kMemory = 50;
  seen = std::min(seen + 1, kMemory);
  mean += (static_cast<float>(value) - mean) / static_cast<float>(seen);
}

namespace {

std::size_t size_of(int tokens, std::size_t sizes) {
  const auto width = std::bit_width(static_cast<unsigned>(std::max(1, tokens)));
  return std::min(static_cast<std::size_t>(width - 1), sizes - 1);
}

// Of the answers that reach a size, the expected ends in it: about a log-normal law with its median
// at 160 tokens and a sigma of 1.1, as chats in the published traces have.
float prior_ends(std::size_t size) {
  return std::max(0.05F, 0.3F * (static_cast<float>(size) - 5.0F));
}

constexpr float kPriorAnswers = 2.0F;

}  // namespace

std::size_t key_of_class(std::string_view name) { return hash_of_name(name); }

Remaining::Remaining(const std::array<float, kSizes>& hazard) {
  double passed = 0.0;
  for (std::size_t size = 0; size < kSizes; ++size) {
    const auto begins = static_cast<double>(std::size_t{1} << size);
    sizes_[size] = {passed, hazard[size], begins, 1.0 / static_cast<double>(hazard[size])};
    passed += begins * hazard[size];
  }
}

double Remaining::tokens(int generated, double exposure) const {
  const auto begun = static_cast<double>(std::max(1, generated));
  const Size* size = &sizes_[size_of(generated, kSizes)];
  const double until = size->passed + (begun - size->begins) * size->hazard + exposure;
  while (size != &sizes_.back() && size[1].passed <= until) ++size;
  return size->begins + (until - size->passed) * size->tokens_per_exposure - begun;
}

Remaining AnswerLength::remaining() const {
  std::array<float, Remaining::kSizes> hazard{};
  for (std::size_t size = 0; size < Remaining::kSizes; ++size) {
    const auto tokens = static_cast<float>(std::size_t{1} << size);
    const float ends = ends_[size] + kPriorAnswers * prior_ends(size);
    hazard[size] = ends / ((passed_[size] + kPriorAnswers) * tokens);
  }
  return Remaining(hazard);
}

void AnswerLength::observe(const AnswerKind& kind, int completion_tokens, bool cut) {
  constexpr float kForget = 1.0F - 1.0F / 500.0F;
  for (float& count : ends_) count *= kForget;
  for (float& count : passed_) count *= kForget;
  const std::size_t size = size_of(completion_tokens, Remaining::kSizes);
  for (std::size_t smaller = 0; smaller < size; ++smaller) passed_[smaller] += 1.0F;
  passed_[size] +=
      static_cast<float>(completion_tokens) / static_cast<float>(std::size_t{1} << size) - 1.0F;
  if (!cut) ends_[size] += 1.0F;
  all_.add(completion_tokens);
  if (row_of(kind.request_class) == known_ && known_ < kClasses)
    classes_[known_++] = kind.request_class;
  cells_[cell_of(kind)].add(completion_tokens);
  auto kinds = kinds_ ? std::make_shared<Kinds>(*kinds_) : std::make_shared<Kinds>();
  kinds->add(hash_of(kind), completion_tokens);
  kinds_ = std::move(kinds);
}

double AnswerLength::expected(const AnswerKind& kind) const {
  constexpr int kEnough = 5;
  const Mean* const own = kinds_ ? kinds_->find(hash_of(kind)) : nullptr;
  if (own != nullptr && own->seen >= kEnough) return own->mean;
  const Mean& alike = cells_[cell_of(kind)];
  return alike.seen >= kEnough ? alike.mean : all_.mean;
}

std::size_t AnswerLength::row_of(std::size_t request_class) const {
  const auto known = classes_.begin() + static_cast<std::ptrdiff_t>(known_);
  return static_cast<std::size_t>(std::find(classes_.begin(), known, request_class) -
                                  classes_.begin());
}

std::size_t AnswerLength::cell_of(const AnswerKind& kind) const {
  const std::size_t row = std::min(row_of(kind.request_class), kClasses - 1);
  return row * kSizes + size_of(kind.prompt_tokens, kSizes);
}

std::uint64_t AnswerLength::hash_of(const AnswerKind& kind) {
  std::uint64_t hash = kind.request_class ^ size_of(kind.prompt_tokens, kSizes);
  for (const std::string_view name : {kind.key, kind.model}) {
    hash ^= std::hash<std::string_view>()(name);
    hash *= 0x9e3779b97f4a7c15;  // Fibonacci hashing.
    hash ^= hash >> 32;
  }
  return hash;
}

std::uint32_t AnswerLength::Kinds::tag_of(std::uint64_t hash) {
  return static_cast<std::uint32_t>(hash >> 32) | 1;
}

const AnswerLength::Mean* AnswerLength::Kinds::find(std::uint64_t hash) const {
  const auto& row = rows_[hash % kRows];
  const auto found = std::find_if(row.begin(), row.end(),
                                  [hash](const Place& place) { return place.tag == tag_of(hash); });
  return found == row.end() ? nullptr : &found->mean;
}

void AnswerLength::Kinds::add(std::uint64_t hash, int value) {
  auto& row = rows_[hash % kRows];
  auto place = std::find_if(row.begin(), row.end(),
                            [hash](const Place& one) { return one.tag == tag_of(hash); });
  if (place == row.end()) {
    place = std::min_element(row.begin(), row.end(), [](const Place& one, const Place& other) {
      return one.last < other.last;
    });
    *place = Place{.tag = tag_of(hash)};
  }
  place->last = ++count_;
  place->mean.add(value);
}

}  // namespace spillway::policy
