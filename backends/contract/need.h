// What a request asks of a target: which endpoint answers it, and what beside text for text it
// takes. Plain values.
#pragma once

#include <array>
#include <string_view>
#include <utility>

namespace spillway {

enum class Endpoint { chat, completions, embeddings, moderations, rerank };

// As in the configuration and behind /v1/ (chat: "chat/completions"); static storage.
constexpr std::string_view name_of(Endpoint endpoint) {
  constexpr std::array<std::string_view, 5> kNames = {"chat", "completions", "embeddings",
                                                      "moderations", "rerank"};
  return kNames[static_cast<std::size_t>(endpoint)];
}

// Whether it answers with text that a model writes.
constexpr bool writes(Endpoint endpoint) {
  return endpoint == Endpoint::chat || endpoint == Endpoint::completions;
}

// A set: one bit each.
enum class Need : unsigned {
  nothing = 0,
  tools = 1,
  formats = 2,  // response_format
  images = 4,
  audio = 8,
  files = 16,  // And parts of messages that nobody here knows.
  logprobs = 32,
  logit_bias = 64,
  choices = 128,  // More than one.
  echo = 256,     // The prompt with the answer, told by who counts its tokens.
  infill = 512,   // A completion with a suffix.
};

constexpr Need operator|(Need a, Need b) {
  return static_cast<Need>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr Need& operator|=(Need& a, Need b) { return a = a | b; }
constexpr bool has(Need set, Need one) {
  return (static_cast<unsigned>(set) & static_cast<unsigned>(one)) != 0;
}

// Each with its name in the configuration and the field of a request that asks for it.
struct NeedWords {
  Need need;
  std::string_view name;
  std::string_view field;
};

inline constexpr std::array<NeedWords, 10> kNeeds = {
    {{Need::tools, "tools", "tools"},
     {Need::formats, "formats", "response_format"},
     {Need::images, "images", "messages"},
     {Need::audio, "audio", "messages"},
     {Need::files, "files", "messages"},
     {Need::logprobs, "logprobs", "logprobs"},
     {Need::logit_bias, "logit_bias", "logit_bias"},
     {Need::choices, "choices", "n"},
     {Need::echo, "echo", "echo"},
     {Need::infill, "infill", "suffix"}}};

}  // namespace spillway
