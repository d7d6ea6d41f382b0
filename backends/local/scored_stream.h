// The logprobs of an answer in the words of the endpoint that was asked, and of its prompt what is
// to be told: repeated before each choice, or scored beside it.
//
// As TokenStream: of one coroutine. What is told of a prompt is kept until the first piece of each
// of its choices.
#pragma once

#include "backends/contract/backend.h"
#include "backends/local/engine/engine_door.h"
#include "backends/local/engine/text_codec.h"

#include <memory>

namespace spillway::local {

// `codec` must outlive the stream.
std::unique_ptr<TokenStream> with_logprobs(std::unique_ptr<TokenStream> text,
                                           const TextCodec& codec, Prompts prompts,
                                           std::shared_ptr<const ChatRequest> request);

}  // namespace spillway::local
