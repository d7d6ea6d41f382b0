#include "backends/contract/json_depth.h"

#include <array>
#include <cstddef>

namespace spillway {

namespace {

// Stops counting past `limit`. `find` is memchr, far faster than a loop here.
int count_up_to(std::string_view text, char wanted, int limit) {
  int count = 0;
  for (auto at = text.find(wanted); at != text.npos && count <= limit; ++count) {
    at = text.find(wanted, at + 1);
  }
  return count;
}

}  // namespace

bool nests_deeper_than(std::string_view text, int depth_max) {
  // Nearly every request has fewer brackets than that in all, and counting them is cheap.
  const int opens = count_up_to(text, '[', depth_max) + count_up_to(text, '{', depth_max);
  if (opens <= depth_max) return false;
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string) {
      if (c == '\\') ++i;
      continue;
    }
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > depth_max) return true;
  }
  return false;
}

bool is_outsized(std::string_view text) {
  constexpr std::size_t kDepthMax = 64;
  constexpr int kMembersMax = 2'048, kAllMembersMax = 100'000;
  std::array<int, kDepthMax + 1> members{};  // Of what is open, by its depth.
  int all_members = 0;
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string) {
      if (c == '\\') ++i;
      continue;
    }
    if (c == '[' || c == '{') {
      if (++depth > kDepthMax) return true;
      members[depth] = 0;
    }
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (c == ':' && (++members[depth] > kMembersMax || ++all_members > kAllMembersMax)) return true;
  }
  return false;
}

}  // namespace spillway
