// Carries an opened stream to the client, as server-sent events or as one JSON object, in the words
// of its protocol, and counts as it goes.
//
// Runs on the request's coroutine; dropping the stream (on return) cancels what is left of the
// work. What the client has read is never taken back. A stream that breaks is gone on with by
// another target where that can be honest (course.h); where it cannot, it fails, and the caller
// ends it with an error event. Of a whole answer nothing is out before all of it is there: if it
// breaks, another target answers afresh.
#pragma once

#include "backends/contract/backend.h"
#include "gateway/request/course.h"
#include "gateway/wire/protocol.h"

namespace spillway::http {
class ResponseWriter;
}

namespace spillway {

// Fails with what the stream that broke first, or the client's connection, failed with; usage,
// first token and finish are in the receipt either way.
Async<void> relay(Opened& opened, Course& course, wire::AnswerWriter& writer,
                  http::ResponseWriter& out);

}  // namespace spillway
