// The one table from Errc to the wire: status, OpenAI `type` and `code`, and what the client's SDK
// should do next.
//
// Pure and thread-safe. All four keys of the error object are always there; `code` is a string or
// null.
#pragma once

#include "backends/contract/error.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::openai {

struct ErrorReply {
  int status = 500;
  std::string body;  // {"error":{"message","type","param","code"}}
  std::vector<std::pair<std::string, std::string>>
      headers;  // retry-after, retry-after-ms, x-should-retry
};

ErrorReply to_wire(const Error& error);

// The status alone, for logs: 499 for cancelled and slow_client, which no client reads.
int status_of(Errc code);

// OpenAI's `type`; static storage.
std::string_view type_of(Errc code);

// A failure after the stream has begun: `data: {"error":{…}}`, after which the stream ends without
// [DONE].
std::string stream_error_event(const Error& error);

}  // namespace spillway::openai
