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

// Whether `look` says so of a character that is in no string; it is shown each until then.
template <class Look>
bool any_outside_strings(std::string_view text, Look look) {
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string && c == '\\') ++i;
    if (!in_string && look(c)) return true;
  }
  return false;
}

}  // namespace

bool nests_deeper_than(std::string_view text, int depth_max) {
  // Nearly every request has fewer brackets than that in all, and counting them is cheap.
  const int opens = count_up_to(text, '[', depth_max) + count_up_to(text, '{', depth_max);
  if (opens <= depth_max) return false;
  int depth = 0;
  return any_outside_strings(text, [&](char c) {
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    return depth > depth_max;
  });
}

bool has_more_values(std::string_view text, int values_max) {
  const auto more = [&](char c) { return count_up_to(text, c, values_max) > values_max; };
  if (!more(',') && !more('[') && !more('{')) return false;
  int commas = 0, opens = 0;
  return any_outside_strings(text, [&](char c) {
    if (c == ',') ++commas;
    if (c == '[' || c == '{') ++opens;
    return commas > values_max || opens > values_max;
  });
}

bool is_outsized(std::string_view text) {
  std::array<int, kJsonNestingMax + 1> members{};  // Of what is open, by its depth.
  int all_members = 0;
  std::size_t depth = 0;
  return any_outside_strings(text, [&](char c) {
    if (c == '[' || c == '{') {
      if (++depth > kJsonNestingMax) return true;
      members[depth] = 0;
    }
    if ((c == ']' || c == '}') && depth > 0) --depth;
    return c == ':' && (++members[depth] > kJsonMembersMax || ++all_members > kJsonAllMembersMax);
  });
}

}  // namespace spillway
