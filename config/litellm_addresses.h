// Where LiteLLM sends a model, and in whose protocol. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace spillway::config {

struct LiteLlmAddress {
  std::string_view provider;        // LiteLLM's prefix.
  std::string_view base_url;        // Empty: wherever its api_base says.
  std::string_view dialect;         // Empty: OpenAI's own.
  std::string_view endpoints = {};  // Empty: chat, unless its mode says otherwise.
};

// Null if this provider's protocol is not known here.
const LiteLlmAddress* litellm_address(std::string_view provider);

// Whose a model is that is named without a provider; empty if its name does not tell.
std::string_view litellm_provider_of(std::string_view model);

// Where that is, given the model's own api_base or nothing. Empty: nobody says.
std::string litellm_base_url(const LiteLlmAddress& address, std::string api_base);

}  // namespace spillway::config
