#include "backends/local/tokenizer/encoding_internal.h"

#include <algorithm>
#include <utility>

namespace spillway::tokenizer {

std::optional<std::vector<TokenId>> Tokenizer::Encoding::run(std::string_view text,
                                                             std::span<const Stretch> stretches) {
  if (tables_.surely_exceeds(text, tokens_max_)) return std::nullopt;
  ids_.reserve(std::min(text.size() / 3, tokens_max_) + 4);
  WholeCuts cuts(tables_.whole, text, stretches);
  while (!is_over()) {
    const auto [begin, end, id] = cuts.next();
    section(text, stretches, {begin, end});
    if (id < 0) break;
    ids_.push_back(id);
  }
  if (is_over()) return std::nullopt;
  return std::move(ids_);
}

void Tokenizer::Encoding::section(std::string_view text, std::span<const Stretch> stretches,
                                  Section place) {
  if (place.begin == place.end || is_over()) return;
  std::string held;
  std::vector<Stretch> marks;
  text = normalized(text, stretches, place, held, marks);
  if (tables_.whole_normalized.empty()) return stretch(text);
  WholeCuts cuts(tables_.whole_normalized, text, marks);
  while (!is_over()) {
    const auto [begin, end, id] = cuts.next();
    stretch(text.substr(begin, end - begin));
    if (id < 0) break;
    ids_.push_back(id);
  }
}

// Of the whole section at once, unless it matters what control text in it became.
std::string_view Tokenizer::Encoding::normalized(std::string_view text,
                                                 std::span<const Stretch> stretches, Section place,
                                                 std::string& held,
                                                 std::vector<Stretch>& marks) const {
  const auto [begin, end] = place;
  const auto first = std::ranges::upper_bound(stretches, begin, {}, &Stretch::end);
  if (!tables_.finds_special_in_normalized || first->end >= end) {
    text = tables_.text.normalized(text.substr(begin, end - begin), true, held);
    marks.push_back({text.size(), first->control});
    return text;
  }
  std::string made;
  std::size_t at = begin;
  for (auto one = first; at < end; ++one) {
    const std::size_t until = std::min(one->end, end);
    made += tables_.text.normalized(text.substr(at, until - at), made.empty(), held);
    marks.push_back({made.size(), one->control});
    at = until;
  }
  return held = std::move(made);
}

// What lies between two whole tokens.
void Tokenizer::Encoding::stretch(std::string_view text) {
  if (text.empty() || is_over()) return;
  std::string held;
  split(tables_.text.marked(text, ids_.empty(), held), 0);
}

void Tokenizer::Encoding::split(std::string_view text, std::size_t rule) {
  if (text.empty()) return;
  if (rule == tables_.split.size()) return words(text);
  for (std::size_t at = 0; at < text.size() && !is_over();) {
    const std::size_t end = piece_end(tables_.split[rule], text, at);
    split(text.substr(at, end - at), rule + 1);
    at = end;
  }
}

void Tokenizer::Encoding::words(std::string_view text) {
  const auto* unigram = std::get_if<Unigram>(&tables_.model);
  if (unigram != nullptr) return unigram->encode_piece(text, steps_, ids_);
  if (tables_.writing == Writing::bytes) return encode_piece(text);
  for (std::size_t at = 0; at < text.size() && !is_over();) {
    const std::size_t end = tables_.cuts.end(text, at);
    encode_piece(text.substr(at, end - at));
    at = end;
  }
}

void Tokenizer::Encoding::encode_piece(std::string_view piece) {
  const TokenId id = tables_.pieces.find(piece);
  if (id >= 0) {
    ids_.push_back(id);
  } else {
    std::get<Bpe>(tables_.model).encode(piece, scratch_, ids_);
  }
}

}  // namespace spillway::tokenizer
