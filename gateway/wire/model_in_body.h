// The model that a client's body asks for, where another place than the body names it.
// Pure.
#pragma once

#include <string>
#include <string_view>

namespace spillway::wire {

// `body` with that model, its members in their order. What is no JSON object stays as it is, to be
// refused where it is read.
std::string with_model(std::string body, std::string_view model);

}  // namespace spillway::wire
