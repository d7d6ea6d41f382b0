#include "config/litellm_settings.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <utility>

namespace spillway::config {
namespace {

constexpr std::string_view kAliases = "model_group_alias";

// By path. A budget that cannot be said here is told of where it is read.
constexpr std::array<std::string_view, 6> kTaken = {"model_list",
                                                    "general_settings.master_key",
                                                    "litellm_settings.max_budget",
                                                    "litellm_settings.budget_duration",
                                                    "router_settings.model_group_alias",
                                                    "router_settings.routing_strategy"};

constexpr std::array<std::string_view, 4> kBlocks = {"general_settings", "litellm_settings",
                                                     "router_settings", "environment_variables"};

// By how the key ends: what there is instead.
constexpr std::pair<std::string_view, std::string_view> kInstead[] = {
    {"num_retries", "the next target is asked, `limits.attempts_max` times in all"},
    {"allowed_fails", "who fails is left alone for a while: `breaker` of a target"},
    {"cooldown_time", "who fails is left alone for a while: `breaker` of a target"},
    {"timeout", "`limits.request_timeout`, and `timeouts` of a target"},
    {"callback", "what happens is told by /metrics of `server.admin`"},
    {"callbacks", "what happens is told by /metrics of `server.admin`"},
    {"alerting", "alerts are for Prometheus to raise, from /metrics of `server.admin`"},
    {"database_url",
     "the books are kept in the folder `server.state`, or in PostgreSQL: `ledger.postgres`"},
    {"max_parallel_requests", "requests at once are bounded by `limits.in_flight_max`"},
    {"drop_params", "fields that a provider does not know are `server.unknown_fields`"},
    {"cache", "an answer is given again only to the same Idempotency-Key"},
};

std::string sentence_of(const std::string& path) {
  const auto* instead = std::find_if(std::begin(kInstead), std::end(kInstead),
                                     [&](const auto& one) { return path.ends_with(one.first); });
  return "`" + path + "` is left out" +
         (instead == std::end(kInstead) ? "" : ": " + std::string(instead->second));
}

// "gpt-4o → claude, gemini" of one entry.
std::string chain_of(const Entry& entry) {
  std::string chain = entry.key + " → ";
  for (std::size_t i = 0; i < entry.value.items.size(); ++i)
    chain += (i == 0 ? "" : ", ") + entry.value.items[i].text;
  return chain;
}

void tell_fallbacks(const std::string& path, const Node& fallbacks,
                    std::vector<std::string>& sentences) {
  for (const Node& one : fallbacks.items) {
    for (const Entry& entry : one.entries)
      sentences.push_back("`" + path + "`: " + chain_of(entry) +
                          " is left out: another model is not put in place of the one asked for; "
                          "for a name that several may answer, see `models`");
  }
}

void tell(const std::string& path, const Node& value, std::vector<std::string>& sentences) {
  if (std::find(kTaken.begin(), kTaken.end(), path) != kTaken.end()) return;
  const std::size_t before = sentences.size();
  if (path.ends_with("fallbacks")) tell_fallbacks(path, value, sentences);
  if (sentences.size() == before) sentences.push_back(sentence_of(path));
}

}  // namespace

std::map<std::string, std::vector<std::string>> litellm_aliases(const Node& root) {
  std::map<std::string, std::vector<std::string>> names;
  const Node* router = root.find("router_settings");
  const Node* aliases = router ? router->find(kAliases) : nullptr;
  if (!aliases) return names;
  for (const Entry& alias : aliases->entries) {
    const Node* model = alias.value.find("model");  // {model: gpt-4o, hidden: true}
    names[model ? model->text : alias.value.text].push_back(alias.key);
  }
  return names;
}

std::vector<std::string> litellm_left_out(const Node& root) {
  std::vector<std::string> sentences;
  for (const Entry& block : root.entries) {
    if (std::find(kBlocks.begin(), kBlocks.end(), block.key) == kBlocks.end()) {
      tell(block.key, block.value, sentences);
      continue;
    }
    for (const Entry& entry : block.value.entries)
      tell(block.key + "." + entry.key, entry.value, sentences);
  }
  return sentences;
}

}  // namespace spillway::config
