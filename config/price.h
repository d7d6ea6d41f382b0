// What a target asks for what it does. Plain values.
#pragma once

#include <cstdint>

namespace spillway::config {

using NanoUsd = std::int64_t;

// What prompts of more tokens than `above` cost, and their answers; 0: as much as others. Nano-USD
// per million tokens.
struct LongPrompts {
  int above = 0;
  NanoUsd input_per_million = 0;
  NanoUsd output_per_million = 0;
  NanoUsd cached_input_per_million = 0;
  NanoUsd cache_write_per_million = 0;
  NanoUsd cache_write_1h_per_million = 0;
  NanoUsd audio_input_per_million = 0;
  NanoUsd audio_output_per_million = 0;
  bool operator==(const LongPrompts&) const = default;
};

struct Price {  // Nano-USD per million tokens.
  NanoUsd input_per_million = 0;
  NanoUsd output_per_million = 0;
  NanoUsd cached_input_per_million = 0;
  NanoUsd cache_write_per_million = 0;
  NanoUsd cache_write_1h_per_million = 0;  // Where it is to be kept for an hour.
  NanoUsd audio_input_per_million = 0;
  NanoUsd audio_output_per_million = 0;
  NanoUsd per_request = 0;      // Nano-USD, besides,
  NanoUsd per_search = 0;       // …and for each time it looks something up in the web.
  double batch_discount = 0.0;  // Share of the tokens' price that its batch tier saves.
  LongPrompts long_prompts = {};
  bool as_told = false;  // Where the provider says what it asks, that is what is booked.
  bool operator==(const Price&) const = default;
};

}  // namespace spillway::config
