// The logprobs of an answer in the words of the endpoint that was asked, and the prompt before the
// answer where that is to be repeated.
//
// As TokenStream: of one coroutine. What is told of the prompt is kept until the first piece of
// each choice.
#pragma once

#include "backends/contract/backend.h"
#include "backends/local/engine/text_codec.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace spillway::local {

// `codec` must outlive the stream.
std::unique_ptr<TokenStream> with_logprobs(std::unique_ptr<TokenStream> text,
                                           const TextCodec& codec,
                                           std::shared_ptr<const std::vector<std::int32_t>> prompt,
                                           std::shared_ptr<const ChatRequest> request);

}  // namespace spillway::local
