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

// The same of completions; `response_format` is of vLLM's and SGLang's.
inline constexpr std::array<std::string_view, 17> kCompletionFields = {
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "n",
    "presence_penalty",
    "prompt",
    "response_format",
    "seed",
    "stop",
    "suffix",
    "temperature",
    "top_p",
    "user",
};

// What services of embeddings and rankings have, each for itself: a provider is told as it is, and
// says itself what it does not know.
inline constexpr std::array<std::string_view, 18> kEmbeddingFields = {
    "add_special_tokens",      // vLLM's
    "dimensions",              // OpenAI's
    "embedding_type",          // Jina's
    "encoding_format",         // OpenAI's
    "input",                   // OpenAI's
    "input_type",              // Cohere's, Voyage's, NVIDIA's
    "late_chunking",           // Jina's
    "normalize",               // vLLM's, TEI's
    "normalized",              // Jina's
    "output_dimension",        // Voyage's, Mistral's
    "output_dtype",            // Voyage's, Mistral's
    "prompt_name",             // TEI's
    "task",                    // Jina's
    "truncate",                // Cohere's, Jina's, TEI's
    "truncate_prompt_tokens",  // vLLM's
    "truncation",              // Voyage's
    "truncation_direction",    // TEI's
    "user",                    // OpenAI's
};
// What some of them embed beside `input`, or in its place: a vector without it is another one.
inline constexpr std::array<std::string_view, 9> kEmbeddedFields = {
    "audio", "contents", "image", "images", "inputs", "messages", "texts", "video", "videos",
};
inline constexpr std::array<std::string_view, 18> kRankingFields = {
    "documents",               // Cohere's
    "instruct",                // Qwen's
    "instruction",             // vLLM's, SiliconFlow's
    "max_chunks_per_doc",      // Cohere's
    "max_tokens_per_doc",      // Cohere's
    "overlap_tokens",          // SiliconFlow's
    "query",                   // Cohere's
    "rank_fields",             // Cohere's
    "raw_scores",              // TEI's
    "return_documents",        // Cohere's, Jina's
    "return_text",             // TEI's
    "top_k",                   // Voyage's
    "top_n",                   // Cohere's
    "truncate",                // TEI's
    "truncate_prompt_tokens",  // vLLM's
    "truncation",              // Jina's, Voyage's
    "truncation_direction",    // TEI's
    "user",                    // vLLM's
};
inline constexpr std::array<std::string_view, 1> kModerationFields = {"input"};

// What is acted on here, whoever answers.
inline constexpr std::array<std::string_view, 4> kFieldsOfOurs = {"model", "stream",
                                                                  "stream_options", "service_tier"};

// Whether `name` is one of the lists above that `endpoint` has.
constexpr bool is_own_field(Endpoint endpoint, std::string_view name) {
  const auto is_in = [name](const auto& names) {
    return std::binary_search(names.begin(), names.end(), name);
  };
  switch (endpoint) {
    case Endpoint::chat: return is_in(kChatFields);
    case Endpoint::completions: return is_in(kCompletionFields);
    case Endpoint::embeddings: return is_in(kEmbeddingFields);
    case Endpoint::moderations: return is_in(kModerationFields);
    case Endpoint::rerank: return is_in(kRankingFields);
  }
  return false;
}

constexpr bool is_embedded(Endpoint endpoint, std::string_view field) {
  return endpoint == Endpoint::embeddings &&
         std::binary_search(kEmbeddedFields.begin(), kEmbeddedFields.end(), field);
}

// Whether asking by `one` there wants a target that knows it. What no model writes is not drawn,
// thought or held to a form.
constexpr bool asks_by(Endpoint endpoint, const FieldNeed& one) {
  if (endpoint == Endpoint::chat) return true;
  return (writes(endpoint) || one.need == Need::server) && !is_own_field(endpoint, one.field);
}

// Somebody here knows what it asks for: it is told, acted on or refused.
constexpr bool is_known_field(Endpoint endpoint, std::string_view name) {
  const bool is_ours =
      std::find(kFieldsOfOurs.begin(), kFieldsOfOurs.end(), name) != kFieldsOfOurs.end();
  return is_ours || is_own_field(endpoint, name) ||
         std::any_of(kFieldNeeds.begin(), kFieldNeeds.end(), [&](const FieldNeed& one) {
           return one.field == name && asks_by(endpoint, one);
         });
}

}  // namespace spillway
