#include "gateway/wire/named_calls.h"

#include "gateway/wire/json_member.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace spillway::wire {
namespace {

using Piece = NamedCalls::Piece;

constexpr std::size_t kHeldMax = 1'000;  // More are told as they come.

// Where a call's name and its argument are: under the name of its type.
struct Words {
  const char* type;
  const char* argument;
};
constexpr std::array<Words, 2> kWords = {{{"function", "arguments"}, {"custom", "input"}}};

bool is_held(const Piece& held, const Piece& piece) { return held["index"] == piece["index"]; }

std::string text_in(const Piece& piece, const char* part, const char* name) {
  const Piece* inner = member_in(piece, part);
  return inner == nullptr ? std::string() : wire::text_in(*inner, name);
}

bool is_named(const Piece& piece) {
  return std::any_of(kWords.begin(), kWords.end(), [&](const Words& words) {
    return !text_in(piece, words.type, "name").empty();
  });
}

bool speaks(const Piece& piece) {
  return std::any_of(kWords.begin(), kWords.end(), [&](const Words& words) {
    return !text_in(piece, words.type, words.argument).empty();
  });
}

// Some repeat the whole name with each piece.
void append(Piece& held, const Piece& more, const char* part, const char* name) {
  const std::string before = text_in(held, part, name);
  const std::string next = text_in(more, part, name);
  const bool repeats = std::string_view(name) == "name" && next == before;
  if (!next.empty() && !repeats) held[part][name] = before + next;
}

void join(Piece& held, const Piece& more) {
  for (const Words& words : kWords) {
    const auto inner = more.find(words.type);
    if (inner == more.end() || !inner->is_object()) continue;
    if (!held.contains(words.type) || !held[words.type].is_object())
      held[words.type] = Piece::object();
    append(held, more, words.type, "name");
    append(held, more, words.type, words.argument);
  }
  for (const auto& [name, value] : more.items()) {
    const bool is_joined = name == kWords[0].type || name == kWords[1].type;
    if (!is_joined && !value.is_null() && value != "") held[name] = value;
  }
}

}  // namespace

NamedCalls::NamedCalls() = default;
NamedCalls::~NamedCalls() = default;

void NamedCalls::clear() {
  held_.clear();
  told_.clear();
}

template <class Ready>
std::vector<Piece> NamedCalls::release(Ready ready) {
  std::vector<Piece> released;
  const auto first = std::stable_partition(held_.begin(), held_.end(),
                                           [&](const Piece& held) { return !ready(held); });
  for (auto held = first; held != held_.end(); ++held) {
    std::int64_t index = 0;
    told_.insert(held->at("index").get_to(index));
    released.push_back(std::move(*held));
  }
  held_.erase(first, held_.end());
  return released;
}

std::vector<Piece> NamedCalls::add(Piece piece) {
  const auto index = piece.is_object() ? piece.find("index") : piece.end();
  const bool is_counted = piece.is_object() && index != piece.end() && index->is_number_integer();
  if (!is_counted || held_.size() >= kHeldMax) return {std::move(piece)};
  auto released =
      release([&](const Piece& held) { return is_named(held) && !is_held(held, piece); });
  if (told_.contains(index->get<std::int64_t>())) {
    released.push_back(std::move(piece));
    return released;
  }
  const auto known = std::find_if(held_.begin(), held_.end(),
                                  [&](const Piece& held) { return is_held(held, piece); });
  if (known == held_.end()) {
    held_.push_back(std::move(piece));
  } else {
    join(*known, piece);
  }
  for (Piece& ready : release([](const Piece& held) { return is_named(held) && speaks(held); }))
    released.push_back(std::move(ready));
  return released;
}

std::vector<Piece> NamedCalls::rest() { return release(is_named); }

std::vector<Piece> NamedCalls::end() {
  return release([](const Piece&) { return true; });
}

}  // namespace spillway::wire
