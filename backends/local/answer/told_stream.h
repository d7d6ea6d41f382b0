// A model's text as what it says: a stream that tells content, thoughts and calls of functions
// apart, in OpenAI's words.
//
// As TokenStream: of one coroutine. A piece that says nothing yet is passed on empty; its tokens
// come with the next that does.
#pragma once

#include "backends/contract/backend.h"
#include "backends/local/answer/answer_reader.h"

#include <memory>

namespace spillway::local::answer {

std::unique_ptr<TokenStream> told_apart(std::unique_ptr<TokenStream> text,
                                        const Expected& expected);

}  // namespace spillway::local::answer
