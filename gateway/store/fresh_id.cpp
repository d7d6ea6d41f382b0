#include "gateway/store/fresh_id.h"

#include <array>
#include <cstdlib>
#include <sys/random.h>

namespace spillway::store {
namespace {

constexpr std::string_view kLetters =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kLength = 24;
// Bytes from here on would make the first letters likelier than the last.
constexpr unsigned kFair = 256 - 256 % kLetters.size();

}  // namespace

std::string fresh_id(std::string_view prefix) {
  std::string id(prefix);
  std::array<unsigned char, 2 * kLength> bytes{};
  while (id.size() < prefix.size() + kLength) {
    if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
      std::abort();
    for (const unsigned char byte : bytes) {
      if (byte < kFair && id.size() < prefix.size() + kLength)
        id.push_back(kLetters[byte % kLetters.size()]);
    }
  }
  return id;
}

}  // namespace spillway::store
