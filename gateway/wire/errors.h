// The one table from Errc to the wire: status, OpenAI `type` and `code`, and what the client's SDK
// should do next.
//
// Pure and thread-safe. Status and advice are the same in every protocol; the object is OpenAI's,
// with all four keys always there and `code` a string or null.
#pragma once

#include "backends/contract/error.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::wire {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct ErrorReply {
  int status = 500;
  std::string body;
  Headers headers;
};

// OpenAI's: error_object and the advice.
ErrorReply error_reply(const Error& error);

// {"error":{"message","type","param","code"}}
std::string error_object(const Error& error);

// retry-after, retry-after-ms, x-should-retry
Headers retry_advice(const Error& error);

// 499 for cancelled and slow_client, which no client reads.
int status_of(Errc code);

// OpenAI's words for it; static storage, or the error's own. The code is empty where OpenAI says
// null.
std::string_view type_of(Errc code);
std::string_view code_of(const Error& error);

}  // namespace spillway::wire
