// What a response's headers say of the account's limits:
//   x-ratelimit-{limit,remaining,reset}-{requests,tokens}   OpenAI, and many who speak like it;
//                                                            resets as "6m0s", "12ms" or seconds
//   anthropic-ratelimit-{requests,tokens,input-tokens}-{limit,remaining,reset}   resets as a date
// Pure; one a response, one thread.
#pragma once

#include "backends/contract/rate_left.h"

#include <array>
#include <string>
#include <string_view>

namespace spillway::cloud {

class RateHeaders {
 public:
  // `name` in lower case; others than these are none of its business.
  void note(std::string_view name, std::string_view value);

  // `date` is the response's own, in seconds since 1970, for resets that are dates: no clock of
  // ours is asked. Who says no reset, or an unreadable one, says nothing.
  RateLeft left(std::optional<std::int64_t> date) const;

 private:
  struct Said {
    std::string limit, remaining, reset;
  };

  static std::optional<RateLeft::Room> room_of(const Said& said, std::optional<std::int64_t> date);

  std::array<Said, 3> said_;  // Requests, tokens, input tokens.
};

// "6m0s", "1h2m3.5s", "12ms", or seconds.
std::optional<std::chrono::milliseconds> duration_of(std::string_view text);

}  // namespace spillway::cloud
