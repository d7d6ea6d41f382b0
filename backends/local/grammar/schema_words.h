// JSON schema's keywords, as far as they matter to what an answer can be held to. Static storage.
#pragma once

#include <span>
#include <string_view>

namespace spillway::local::grammar {

// Those that only say something of values of one type.
struct TypeWords {
  std::string_view type;
  std::span<const std::string_view> words;
};
std::span<const TypeWords> type_words();

// Null if the word is of no one type.
const TypeWords* type_of_word(std::string_view word);

// Those that say all there is to say of a value, but for what is meant for readers.
std::span<const std::string_view> whole_words();

// Those that nothing here can hold an answer to.
bool is_unheld(std::string_view word);

}  // namespace spillway::local::grammar
