// Fields by which a request has its provider do more than answer it: other models to be asked in
// its model's place, and finders whose words are read beside the prompt. The same in every protocol
// that is passed on.
#pragma once

#include <array>
#include <string_view>

namespace spillway::wire {

// OpenRouter's, Anthropic's and LiteLLM's.
inline constexpr std::array<std::string_view, 5> kOtherModels = {
    "models", "fallbacks", "context_window_fallbacks", "content_policy_fallbacks",
    "context_window_fallback_dict"};

// OpenRouter's, xAI's, Qwen's and Baidu's.
inline constexpr std::array<std::string_view, 5> kFinders = {
    "plugins", "search_parameters", "enable_search", "search_options", "web_search"};

}  // namespace spillway::wire
