// A member of a client's body as the client wrote it: objects keep the order of their members.
// Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace spillway::wire {

// The JSON of the member that `path` leads to, without blanks; nothing if there is none.
std::optional<std::string> member_text(std::string_view body,
                                       std::span<const std::string_view> path);

}  // namespace spillway::wire
