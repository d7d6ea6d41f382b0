// What an error says of a chat completion's fields, in the words of a response's. Pure.
#pragma once

#include "backends/contract/error.h"

namespace spillway::responses {

Error in_words_of_responses(Error error);

}  // namespace spillway::responses
