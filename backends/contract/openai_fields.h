// The fields of OpenAI's requests, and DeepSeek's `thinking`: what is written here and what is not
// is the same to who reads a request and to who forwards it. Plain values.
#pragma once

#include "backends/contract/need.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace spillway {

// What a chat's provider is told as it is. Sorted.
inline constexpr std::array<std::string_view, 33> kChatFields = {
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "stop",
    "store",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
};

// What completions have beside them.
inline constexpr std::array<std::string_view, 4> kCompletionFields = {"best_of", "echo", "prompt",
                                                                      "suffix"};

// What is acted on here, whoever answers.
inline constexpr std::array<std::string_view, 4> kFieldsOfOurs = {"model", "stream",
                                                                  "stream_options", "service_tier"};

// Somebody here knows what it asks for: it is told, acted on or refused.
constexpr bool is_known_field(Endpoint endpoint, std::string_view name) {
  const auto lists = [name](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (std::binary_search(kChatFields.begin(), kChatFields.end(), name)) return true;
  if (endpoint == Endpoint::completions && lists(kCompletionFields)) return true;
  return lists(kFieldsOfOurs) ||
         std::any_of(kFieldNeeds.begin(), kFieldNeeds.end(),
                     [name](const FieldNeed& one) { return one.field == name; });
}

}  // namespace spillway
