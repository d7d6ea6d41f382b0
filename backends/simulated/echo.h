// The text that a simulated provider answers with: the prompt's own words over and over, one a
// token, so that a test can see whose answer it got.
//
// Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::simulated {

// About four bytes a token, as English has with today's tokenizers.
int count_tokens(std::string_view text);

class Echo {
 public:
  // Takes the first words of `prompt`; long ones (over 24 bytes) are left out.
  explicit Echo(std::string_view prompt);

  // The token at `index`; all but the first begin with a space.
  std::string token(std::size_t index) const;

  // `count` tokens from `first` on in one string.
  std::string text(std::size_t count, std::size_t first = 0) const;

  // How many tokens `text` is from the first on; of a text of somebody else's, as many as it has
  // words.
  std::size_t tokens_in(std::string_view text) const;

 private:
  std::vector<std::string> words_;  // Never empty.
};

}  // namespace spillway::simulated
