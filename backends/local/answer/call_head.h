// Where a call begins: its marks and its name, up to its arguments. Pure.
#pragma once

#include "backends/local/answer/call_syntax.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::local::answer {

struct CallHead {
  std::string name;
  std::size_t size = 0;  // Bytes up to the arguments, or, where these are here, to the call's end.
  std::optional<std::string> arguments;  // Whole, where they could not be told as they come.
};

enum class CallPlace {
  marked,     // With the syntax's mark.
  unmarked,   // Without, where that may be.
  following,  // Behind another call.
};

struct HeadFound {
  std::optional<CallHead> head;
  bool cut = false;  // There may be one: more of the text is needed to tell.
};

// The call that `text` begins with. In what models have been seen to write, members of the object
// come in any order and beside others, arguments are called `parameters` as well, or are a text
// that has the JSON in it. Of `text` only kHeadBytesMax bytes are looked at: what has no name and
// arguments in these is no call.
inline constexpr std::size_t kHeadBytesMax = 16 * 1024;
HeadFound find_head(const CallSyntax& syntax, CallPlace place, std::string_view text);

}  // namespace spillway::local::answer
