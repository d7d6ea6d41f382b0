// What LiteLLM says that a model costs, as keys of a target. Pure; any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace spillway::config {

// The text of a key of LiteLLM's; empty where there is none.
using LiteLlmText = std::function<std::string(std::string_view key)>;

// "{input: 2.5usd, output: 10usd}" a million tokens, with `long` where there are such prices; empty
// if either of these is not given.
std::string litellm_prices(const LiteLlmText& text);

// How the keys end that say what long prompts cost: "_above_200k_tokens". Empty if there are none,
// or several lengths: a target has one.
std::string_view litellm_long_suffix(const LiteLlmText& text);

// What its flex tier saves, as a share: "0.5". Empty if prompt and answer do not both have a flex
// price, or if what has one does not all cost less by the same share.
std::string litellm_flex_discount(const LiteLlmText& text);

// Whether `litellm_prices` looks at that key. The flex tier's end with `kLiteLlmFlex`.
bool is_litellm_price(std::string_view key);
inline constexpr std::string_view kLiteLlmFlex = "_flex";

}  // namespace spillway::config
