#include "gateway/policy/takes.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::policy {
namespace {

// Opus 4.7's where a call is asked for; others have from 159 on:
// https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing
constexpr int kClaudesToolPrompt = 804;

// Of 65 chat templates that open models are published with, the longest but one (Cohere's R7B) says
// 1,337 characters beside the tools themselves; DeepSeek-V3.2's 1,102, Qwen3's 401, Mistral's 35.
constexpr int kTemplatesToolPrompt = 350;

// What not all dialects have words for, and those that do; thinking goes to all of them.
struct Known {
  Need need;
  std::string_view dialect;
  std::string_view field;  // Only this one; empty: all of the need's.
};

constexpr std::array<Known, 13> kKnown = {{{Need::guided, "vllm", ""},
                                           {Need::guided, "sglang", ""},
                                           {Need::sampling, "vllm", ""},
                                           {Need::sampling, "sglang", ""},
                                           {Need::sampling, "anthropic", "top_k"},
                                           {Need::server, "vllm", ""},
                                           {Need::server, "sglang", ""},
                                           {Need::search, "openai", ""},
                                           {Need::moderation, "openai", ""},
                                           {Need::moderation, "azure", ""},
                                           {Need::prefix, "anthropic", ""},
                                           {Need::prefix, "deepseek", ""},
                                           {Need::prefix, "mistral", ""}}};

// What all others have, and these do not.
constexpr std::array<Known, 9> kLacking = {{{Need::images, "deepseek", ""},
                                            {Need::audio, "deepseek", ""},
                                            {Need::files, "deepseek", ""},
                                            {Need::logit_bias, "deepseek", ""},
                                            {Need::choices, "deepseek", ""},
                                            {Need::logit_bias, "mistral", ""},
                                            {Need::logprobs, "mistral", ""},
                                            {Need::logit_bias, "ollama", ""},
                                            {Need::choices, "ollama", ""}}};

bool lists(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_known(const config::ProviderTarget& target, Need need, std::string_view field) {
  const bool lacks = std::any_of(kLacking.begin(), kLacking.end(), [&](const Known& one) {
    return one.need == need && one.dialect == target.dialect;
  });
  if (lacks) return false;
  const bool is_common = std::none_of(kKnown.begin(), kKnown.end(),
                                      [need](const Known& one) { return one.need == need; });
  if (need == Need::search && target.price.per_search == 0) return false;  // It would seem free.
  if (is_common || (need == Need::prefix && target.continues == "prefix")) return true;
  return std::any_of(kKnown.begin(), kKnown.end(), [&](const Known& one) {
    return one.need == need && one.dialect == target.dialect &&
           (one.field.empty() || one.field == field);
  });
}

}  // namespace

bool reads_forms(const config::ProviderTarget& target) {
  const std::string& dialect = target.dialect;
  return dialect != "vllm" && dialect != "sglang" && dialect != "ollama";
}

int tool_prompt_tokens(const config::ProviderTarget& target, std::string_view model) {
  const bool is_claude = target.dialect == "anthropic" || model.find("claude") != model.npos;
  return is_claude ? kClaudesToolPrompt : kTemplatesToolPrompt;
}

bool searches_unasked(std::string_view model) {
  constexpr std::array<std::string_view, 5> kSuch = {"sonar", "compound", "-search-preview",
                                                     "-search-api", ":online"};
  return std::any_of(kSuch.begin(), kSuch.end(),
                     [model](std::string_view one) { return model.find(one) != model.npos; });
}

bool serves(const config::ProviderTarget& target, Endpoint asks) {
  return lists(target.endpoints, name_of(asks));
}

bool takes(const config::ProviderTarget& target, const NeedWords& words,
           std::span<const FieldNeed> beyond) {
  if (lists(target.takes, words.name)) return true;
  bool by_field = false;
  for (const FieldNeed& one : beyond) {
    if (one.need != words.need) continue;
    by_field = true;
    if (lists(target.forward_fields, one.field) || lists(target.forward_fields, "*")) continue;
    if (!target.takes.empty() || !is_known(target, one.need, one.field)) return false;
  }
  return by_field || (target.takes.empty() && is_known(target, words.need, ""));
}

}  // namespace spillway::policy
