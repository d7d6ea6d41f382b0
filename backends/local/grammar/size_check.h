// How much of a form is read at all, and what is said of one that is too much. Pure, and cheap: for
// whoever is to hand it on.
#pragma once

#include "backends/contract/error.h"
#include "backends/contract/form.h"

#include <cstddef>

namespace spillway::local::grammar {

inline constexpr std::size_t kFormBytesMax = 64 * 1024;
inline constexpr std::size_t kRegexBytesMax = 4 * 1024;

// Bytes of all that it says.
std::size_t size_of(const Form& form);

// invalid_request names the field and the limit.
Result<void> check_size(const Form& form);

// Of one that is small, and much work.
Error takes_too_long(const Form& form);
Error takes_too_much(const Form& form);

}  // namespace spillway::local::grammar
