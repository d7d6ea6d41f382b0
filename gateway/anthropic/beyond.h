// What of a messages request goes beyond a plain chat. Pure.
#pragma once

#include "gateway/wire/asked_besides.h"

#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace spillway::anthropic {

struct Beyond {
  std::string words;           // The first thing that chat completions have no words for, or empty.
  int media = 0;               // Pictures and documents among it,
  std::size_t text_bytes = 0;  // …and what documents of words alone have.
  std::optional<int> searches = 0;  // That it may make in the web; nothing: as many as it likes.
  bool tools = false;               // Tools, or calls and results of earlier ones.

  std::string unsent;    // What a provider would read that is not in it, or empty.
  int added_tokens = 0;  // What it adds to the prompt within a limit, in all.
  std::vector<std::string> other_models = {};  // Asked besides, at their own prices.

  void add(std::string what) {
    if (words.empty()) words = std::move(what);
  }

  void reads_unsent(std::string what) {
    if (unsent.empty()) unsent = std::move(what);
  }

  void asks(wire::AskedBesides besides) {
    std::move(besides.models.begin(), besides.models.end(), std::back_inserter(other_models));
    if (!besides.unsent.empty()) reads_unsent(std::move(besides.unsent));
    if (besides.searches) searches.reset();
  }
};

}  // namespace spillway::anthropic
