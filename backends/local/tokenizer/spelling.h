// How a vocabulary writes text: the tokens that a piece of text is before anything is merged, and
// the text that a token stands for.
//
// Immutable once filled; any thread. Two ways are known. Byte-level vocabularies (GPT-2's and most
// since) write each byte as a printable character (byte_alphabet.h). SentencePiece's (Llama 2,
// Gemma) write characters as themselves, a space as ▁, and spell what they lack byte by byte:
// <0x0A>.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace spillway::tokenizer {

inline constexpr std::string_view kMarkedSpace = "\xE2\x96\x81";  // ▁, U+2581

enum class Writing { bytes, characters };

// The bytes that a token of this writing stands for.
std::string bytes_of_token(Writing writing, std::string_view token);

// Text as SentencePiece sees it: every space is ▁.
std::string with_marked_spaces(std::string_view text);

class Spelling {
 public:
  using IdOf = std::function<std::int32_t(std::string_view)>;  // -1: no such token.

  // Of byte-level vocabularies: a byte that is no token is left out, as the reference does when a
  // model names no unknown token.
  static Spelling of_bytes(const IdOf& id_of);

  // Of characters: those tokens that are one; a byte that has no token
  // either is `unknown`, once for several in a row, or left out if that is -1.
  static Spelling of_characters(const std::vector<std::string_view>& tokens, const IdOf& id_of,
                                std::int32_t unknown);

  // The bytes that may be in a piece and in none of its symbols.
  std::bitset<256> left_out() const;

  // Calls add(id) for each symbol of the piece.
  template <class Add>
  void each(std::string_view piece, const Add& add) const {
    if (writing_ == Writing::bytes) {
      for (const char c : piece) {
        const std::int32_t id = byte_ids_[static_cast<unsigned char>(c)];
        if (id >= 0) add(id);
      }
      return;
    }
    std::int32_t last = -1;
    const auto put = [&](std::int32_t id) {
      if (id >= 0 && !(id == unknown_ && last == unknown_)) add(id);
      last = id;
    };
    while (!piece.empty()) {
      const std::size_t length = length_of_first(piece);
      const auto found = characters_.find(packed(piece.substr(0, length)));
      if (found != characters_.end()) {
        put(found->second);
      } else {
        put_bytes(piece.substr(0, length), put);
      }
      piece.remove_prefix(length);
    }
  }

 private:
  explicit Spelling(Writing writing) : writing_(writing) {}

  static std::size_t length_of_first(std::string_view text);
  // The at most four bytes of a character.
  static std::uint32_t packed(std::string_view character);

  // A character is spelt by all its bytes, or is unknown.
  template <class Put>
  void put_bytes(std::string_view character, const Put& put) const {
    for (const char c : character) {
      if (byte_ids_[static_cast<unsigned char>(c)] < 0) return put(unknown_);
    }
    for (const char c : character) put(byte_ids_[static_cast<unsigned char>(c)]);
  }

  Writing writing_;
  std::array<std::int32_t, 256> byte_ids_{};
  std::int32_t unknown_ = -1;
  std::unordered_map<std::uint32_t, std::int32_t> characters_;
};

}  // namespace spillway::tokenizer
