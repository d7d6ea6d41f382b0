// What an answer is held to so that it calls functions as it was asked to: one of a given syntax,
// with arguments that fit. Pure.
//
// Arguments fit the schema of their function where it can be held to; where it cannot, they are an
// object, unless the function is strict: then it is refused.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"
#include "backends/local/answer/answer_reader.h"

#include <memory>

namespace spillway::local::grammar {

// Of an answer to `request`, which has tools that may be called; `is_thinking` if it begins in the
// middle of a thought. Null: it may say what it likes. invalid_request names what is wrong with a
// schema.
Result<std::shared_ptr<const Form>> call_form(const ChatRequest& request,
                                              const answer::AnswerStyle& style, bool is_thinking);

}  // namespace spillway::local::grammar
