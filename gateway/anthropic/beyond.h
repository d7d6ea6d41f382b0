// What of a messages request goes beyond a plain chat. Pure.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace spillway::anthropic {

struct Beyond {
  std::string words;  // The first thing that chat completions have no words for, or empty.
  int media = 0;      // Pictures and documents among it.
  std::optional<int> searches = 0;  // That it may make in the web; nothing: as many as it likes.
  bool tools = false;               // Tools, or calls and results of earlier ones.

  void add(std::string what) {
    if (words.empty()) words = std::move(what);
  }
};

}  // namespace spillway::anthropic
