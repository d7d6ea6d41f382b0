// What a client reads back from POST /v1/responses, and what is kept of it.
//
// On the request's coroutine; no I/O but `keep`.
#pragma once

#include "gateway/responses/responses_protocol.h"

#include <memory>
#include <string>

namespace spillway::responses {

// Keeps what it wrote in `archive`, for `tenant`, if the request wants it kept.
std::unique_ptr<wire::AnswerWriter> response_writer(const Understood& understood,
                                                    std::string tenant, Archive& archive);

}  // namespace spillway::responses
