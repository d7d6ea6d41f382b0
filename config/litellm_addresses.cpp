#include "config/litellm_addresses.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace spillway::config {
namespace {

constexpr LiteLlmAddress kAddresses[] = {
    {"openai", "https://api.openai.com/v1", ""},
    {"text-completion-openai", "https://api.openai.com/v1", "", "completions"},
    {"anthropic", "https://api.anthropic.com/v1", "anthropic"},
    {"azure", "", "azure"},
    {"deepseek", "https://api.deepseek.com/v1", "deepseek"},
    {"mistral", "https://api.mistral.ai/v1", "mistral"},
    {"codestral", "https://codestral.mistral.ai/v1", "mistral"},
    {"groq", "https://api.groq.com/openai/v1", ""},
    {"together_ai", "https://api.together.xyz/v1", ""},
    {"fireworks_ai", "https://api.fireworks.ai/inference/v1", ""},
    {"openrouter", "https://openrouter.ai/api/v1", ""},
    {"xai", "https://api.x.ai/v1", ""},
    {"gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "gemini"},
    {"ollama", "http://127.0.0.1:11434/v1", "ollama"},
    {"ollama_chat", "http://127.0.0.1:11434/v1", "ollama"},
    {"hosted_vllm", "", "vllm"},
    {"custom_openai", "", ""},
};

// Whose models are called so: the first that fits. Another's key must not go to OpenAI.
constexpr std::pair<std::string_view, std::string_view> kOwners[] = {
    {"claude", "anthropic"},
    {"gemini", "gemini"},
    {"deepseek", "deepseek"},
    {"mistral", "mistral"},
    {"ministral", "mistral"},
    {"magistral", "mistral"},
    {"devstral", "mistral"},
    {"pixtral", "mistral"},
    {"codestral", "mistral"},
    {"open-mistral", "mistral"},
    {"open-mixtral", "mistral"},
    {"grok", "xai"},
    {"gpt-oss", ""},
    {"gpt-", "openai"},
    {"chatgpt-", "openai"},
    {"ft:gpt-", "openai"},
    {"o1", "openai"},
    {"o3", "openai"},
    {"o4", "openai"},
    {"codex-", "openai"},
    {"text-embedding-", "openai"},
    {"text-moderation-", "openai"},
    {"omni-moderation-", "openai"},
    {"davinci-", "openai"},
    {"babbage-", "openai"},
};

constexpr std::string_view kVersion = "/v1";

// Of an Azure address what is asked there puts this behind it itself.
constexpr std::string_view kDeployments = "/openai/deployments";

// Whose api_base LiteLLM writes without the version that the paths asked here stand below.
constexpr std::string_view kVersioned[] = {"anthropic", "ollama"};

}  // namespace

const LiteLlmAddress* litellm_address(std::string_view provider) {
  for (const LiteLlmAddress& address : kAddresses) {
    if (address.provider == provider) return &address;
  }
  return nullptr;
}

std::string_view litellm_provider_of(std::string_view model) {
  for (const auto& [begin, owner] : kOwners) {
    if (model.starts_with(begin)) return owner;
  }
  return {};
}

std::string litellm_base_url(const LiteLlmAddress& address, std::string api_base) {
  if (api_base.empty()) return std::string(address.base_url);
  while (api_base.ends_with('/')) api_base.pop_back();
  if (address.dialect == "azure")
    api_base.resize(std::min(api_base.find(kDeployments), api_base.size()));
  const bool versioned = std::count(std::begin(kVersioned), std::end(kVersioned), address.dialect);
  if (versioned && !api_base.ends_with(kVersion)) api_base += kVersion;
  return api_base;
}

}  // namespace spillway::config
