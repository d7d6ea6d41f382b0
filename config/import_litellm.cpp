#include "config/import_litellm.h"

#include "config/document.h"
#include "config/litellm_addresses.h"
#include "config/litellm_prices.h"
#include "config/litellm_settings.h"
#include "config/value.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <iterator>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace spillway::config {
namespace {

constexpr std::string_view kEnvironment = "os.environ/";

// What LiteLLM calls a mode, and the endpoint of ours.
constexpr std::pair<std::string_view, std::string_view> kModes[] = {
    {"embedding", "embeddings"},
    {"completion", "completions"},
    {"moderation", "moderations"},
    {"rerank", "rerank"},
};

// What is read of a model's litellm_params beside its prices.
constexpr std::string_view kRead[] = {"api_base", "api_key", "api_version", "custom_llm_provider",
                                      "model",    "rpm",     "timeout",     "tpm",
                                      "weight"};

// What LiteLLM calls a strategy, and what classes prefer here.
constexpr std::pair<std::string_view, std::string_view> kStrategies[] = {
    {"simple-shuffle", "weighted"},
    {"latency-based-routing", "fastest"},
    {"cost-based-routing", "cheapest"},
};

// What has no counterpart here, by how the key ends, and what there is instead.
constexpr std::pair<std::string_view, std::string_view> kInstead[] = {
    {"max_budget", "a budget is a tenant's or a key's: `tenants`, `keys`"},
    {"budget_duration", "a budget is for a day or a month of a tenant or a key"},
    {"_batches", "a flex tier and a batches API are one `batch_discount`; see targets.*.batches"},
    {kLiteLlmFlex, "`batch_discount` is one share for all that a request costs"},
    {"search_context_cost_per_query", "`price_per_search` is the same however much is read"},
    {"tiered_pricing", "prices may change once with a prompt's length: `price_per_million.long`"},
    {"k_tokens", "prices change once with a prompt's length: `price_per_million.long`"},
    {"off_peak_pricing", "a price is the same at all hours"},
};

// `key` may lead on into what is found, behind a dot.
std::string text_at(const Node* node, std::string_view key) {
  const auto dot = key.find('.');
  if (node && dot != key.npos) return text_at(node->find(key.substr(0, dot)), key.substr(dot + 1));
  const Node* found = node ? node->find(key) : nullptr;
  return found && found->shape == Node::Shape::scalar ? found->text : "";
}

// A name as targets have it.
std::string name_of(const std::string& text) {
  std::string name;
  for (const char c : text) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '-';
  while (!name.empty() && name.front() == '-') name.erase(0, 1);
  return name.empty() ? "target" : name.substr(0, 60);
}

std::string quoted(std::string_view text) {
  std::string yaml = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') yaml += '\\';
    if (byte >= 0x20 && byte != 0x7f) {
      yaml += c;
      continue;
    }
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\x%02x", byte);
    yaml += escape;
  }
  return yaml + '"';
}

// What the file says, as YAML reads it whatever it is; plain where it can be.
std::string scalar(std::string_view text) {
  const auto is_plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("./:_-+@").find(c) != std::string_view::npos;
  };
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), is_plain) &&
                     std::isalnum(static_cast<unsigned char>(text.front())) != 0 &&
                     text.back() != ':';
  return plain ? std::string(text) : quoted(text);
}

std::string upper(std::string text) {
  for (char& c : text) c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
  return text;
}

class Importing {
 public:
  Imported run(const Node& root) {
    const Node* models = root.find("model_list");
    if (!models || models->shape != Node::Shape::sequence) {
      imported_.problems.push_back(
          {root.line, root.column, "model_list", "is missing: this is no LiteLLM configuration"});
      return std::move(imported_);
    }
    aliases_ = litellm_aliases(root);
    std::string targets;
    for (const Node& model : models->items) targets += target_of(model);
    imported_.yaml = "# Made from a LiteLLM configuration: read it, then `spillway check` it.\n" +
                     keys_of(root) + "targets:\n" + targets + classes_of(root);
    for (const auto& [model, names] : aliases_) note_alias(model, names);
    for (std::string& sentence : litellm_left_out(root)) note(std::move(sentence));
    return std::move(imported_);
  }

 private:
  void note(std::string sentence) { imported_.notes.push_back(std::move(sentence)); }

  std::string unique(const std::string& model) {
    const std::string name = name_of(model);
    std::string free = name;
    for (int next = 2; !names_.insert(free).second; ++next)
      free = name + "-" + std::to_string(next);
    return free;
  }

  // "env:NAME" of "os.environ/NAME"; what stands there in clear stays there.
  std::string secret(const std::string& given, const std::string& variable) {
    if (given.starts_with(kEnvironment)) return "env:" + given.substr(kEnvironment.size());
    note(variable + ": a key stood in the file itself; put it into this environment variable");
    return "env:" + variable;
  }

  std::string target_of(const Node& model) {
    const Node* params = model.find("litellm_params");
    const std::string served = text_at(&model, "model_name");
    const auto [provider, upstream] = whose(params);
    if (!is_one_model(served, upstream)) return "";
    const LiteLlmAddress* address = litellm_address(provider);
    const std::string base = base_of(served, provider, address, text_at(params, "api_base"));
    if (base.empty()) return "";
    const std::string name = unique(served);
    std::string yaml = "  " + name + ":\n    kind: provider\n    base_url: " + scalar(base) + "\n";
    yaml += manner_of(model, *params, *address);
    if (const std::string key = text_at(params, "api_key"); !key.empty())
      yaml += "    key: " + scalar(secret(key, upper(name) + "_KEY")) + "\n";
    yaml += serves(served, upstream);
    return yaml + price_of(model, *params, name) + weight_of(model, *params) +
           limits_of(model, *params);
  }

  // The provider, and the model's name there.
  static std::pair<std::string, std::string> whose(const Node* params) {
    const std::string path = text_at(params, "model");
    const std::string said = text_at(params, "custom_llm_provider");
    if (!said.empty())
      return {said, path.starts_with(said + "/") ? path.substr(said.size() + 1) : path};
    const auto slash = path.find('/');
    if (slash != path.npos) return {path.substr(0, slash), path.substr(slash + 1)};
    const std::string owner(litellm_provider_of(path));
    const bool somewhere = !text_at(params, "api_base").empty();
    return {owner.empty() && somewhere ? "custom_openai" : owner, path};
  }

  // Where to ask for it; empty, with a note, where nothing says so.
  std::string base_of(const std::string& served, const std::string& provider,
                      const LiteLlmAddress* address, const std::string& api_base) {
    if (address && api_base.starts_with(kEnvironment)) {
      note(served + ": its api_base is `" + api_base +
           "`: a `base_url` stands in the file itself: left out");
      return "";
    }
    std::string base = address ? litellm_base_url(*address, api_base) : "";
    if (base.empty() && provider.empty())
      note(served + ": its model does not say whose it is (`openai/…`, `anthropic/…`): left out");
    if (base.empty() && !provider.empty())
      note(served + ": `" + provider +
           "` speaks a protocol that is not known here, or has no api_base: left out");
    return base;
  }

  bool is_one_model(const std::string& served, const std::string& upstream) {
    if (served.find('*') != served.npos || upstream.find('*') != upstream.npos) {
      note("`" + served +
           "`: a wildcard is not imported; name each of its models in an entry of "
           "`model_list` of its own, or later in `serves` of a target");
      return false;
    }
    if (!is_model_name(served) || upstream.empty()) {
      note("`" + served + "`: not imported: " + std::string(kModelNameRule) +
           ", and litellm_params.model says whose it is");
      return false;
    }
    return true;
  }

  // Under its name and those that router_settings give it besides.
  std::string serves(const std::string& served, const std::string& upstream) {
    std::string yaml = "    serves: {" + quoted(served) + ": " + quoted(upstream);
    const auto names = aliases_.find(served);
    if (names != aliases_.end()) {
      for (const std::string& name : names->second) {
        if (is_model_name(name) && name != served)
          yaml += ", " + quoted(name) + ": " + quoted(upstream);
      }
    }
    known_.insert(served);
    return yaml + "}\n";
  }

  void note_alias(const std::string& model, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      if (known_.count(model) > 0 && is_model_name(name)) continue;
      note("`router_settings.model_group_alias." + name + "` is left out: " +
           (known_.count(model) > 0 ? std::string(kModelNameRule)
                                    : "no target serves '" + model + "' here"));
    }
  }

  // How it is spoken to, and what it answers where that is not chat.
  std::string manner_of(const Node& model, const Node& params, const LiteLlmAddress& address) {
    std::string yaml;
    if (!address.dialect.empty()) yaml = "    dialect: " + std::string(address.dialect) + "\n";
    if (const std::string version = text_at(&params, "api_version"); !version.empty())
      yaml += "    api_version: " + scalar(version) + "\n";
    const std::string mode = text_at(model.find("model_info"), "mode");
    if (!address.endpoints.empty())
      return yaml + "    endpoints: " + std::string(address.endpoints) + "\n";
    if (mode.empty() || mode == "chat") return yaml;
    const auto* known = std::find_if(std::begin(kModes), std::end(kModes),
                                     [&](const auto& one) { return one.first == mode; });
    if (known != std::end(kModes))
      return yaml + "    endpoints: " + std::string(known->second) + "\n";
    note(text_at(&model, "model_name") + ": `mode: " + mode +
         "` is none that is served here; `endpoints` say which are");
    return yaml;
  }

  // In litellm_params or in model_info.
  static std::string either(const Node& model, const Node& params, std::string_view key) {
    const std::string found = text_at(&params, key);
    return found.empty() ? text_at(model.find("model_info"), key) : found;
  }

  std::string price_of(const Node& model, const Node& params, const std::string& name) {
    const LiteLlmText text = [&](std::string_view key) { return either(model, params, key); };
    const LiteLlmPrices prices = litellm_prices(text);
    note_unread(name, params, false, prices.read);
    if (const Node* info = model.find("model_info")) note_unread(name, *info, true, prices.read);
    std::string yaml = "    price_per_million: " + prices.per_million + "\n";
    if (prices.per_million.empty()) {
      note(name + ": its price is not in the file; an unknown price is refused, so look it up");
      yaml = "    # price_per_million: {input: usd, output: usd}\n";
    }
    for (const auto& [key, value] : prices.beside) yaml += "    " + key + ": " + value + "\n";
    return yaml;
  }

  // `costs_only`: what else stands there says nothing to us.
  void note_unread(const std::string& name, const Node& node, bool costs_only,
                   const std::vector<std::string>& read) {
    for (const Entry& entry : node.entries) {
      const std::string_view key = entry.key;
      if (costs_only && key.find("cost") == key.npos && key.find("pric") == key.npos) continue;
      const bool is_read = std::count(read.begin(), read.end(), key) > 0 ||
                           std::count(std::begin(kRead), std::end(kRead), key) > 0;
      if (is_read) continue;
      const auto* instead = std::find_if(std::begin(kInstead), std::end(kInstead),
                                         [&](const auto& one) { return key.ends_with(one.first); });
      note(name + ": `" + entry.key + "` is left out" +
           (instead == std::end(kInstead) ? "" : ": " + std::string(instead->second)));
    }
  }

  // Its strategy, where there is one of ours; weights count in the one that LiteLLM has by default.
  std::string classes_of(const Node& root) {
    const std::string given = text_at(&root, "router_settings.routing_strategy");
    const std::string strategy = given.empty() && has_weights_ ? "simple-shuffle" : given;
    if (strategy.empty()) return "";
    const auto* known = std::find_if(std::begin(kStrategies), std::end(kStrategies),
                                     [&](const auto& one) { return one.first == strategy; });
    const bool taken = known != std::end(kStrategies);
    if (!taken)
      note("`router_settings.routing_strategy: " + strategy +
           "` is left out: `prefer` of `classes` says who answers, the cheapest by default");
    if (has_weights_ && (!taken || known->second != "weighted"))
      note("`weight` of models counts for `prefer: weighted` alone");
    return taken ? "classes:\n  default: {prefer: " + std::string(known->second) + "}\n" : "";
  }

  std::string weight_of(const Node& model, const Node& params) {
    const std::string weight = count_of(model, params, "weight");
    if (weight.empty()) return "";
    has_weights_ = true;
    return "    weight: " + scalar(weight) + "\n";
  }

  // A number; what stands in the environment of LiteLLM cannot be read here.
  std::string count_of(const Node& model, const Node& params, const char* key) {
    std::string found = either(model, params, key);
    if (!found.starts_with(kEnvironment)) return found;
    note(text_at(&model, "model_name") + ": its " + key + " is `" + found +
         "`: numbers stand in the file itself: left out");
    return "";
  }

  std::string limits_of(const Node& model, const Node& params) {
    const std::string requests = count_of(model, params, "rpm");
    const std::string tokens = count_of(model, params, "tpm");
    std::string limits;
    if (!requests.empty()) limits = "requests_per_minute: " + scalar(requests);
    if (!tokens.empty())
      limits += (limits.empty() ? "" : ", ") + ("tokens_per_minute: " + scalar(tokens));
    std::string yaml = limits.empty() ? "" : "    rate_limit: {" + limits + "}\n";
    if (const std::string timeout = count_of(model, params, "timeout"); !timeout.empty())
      yaml += "    timeouts: {total: " + scalar(timeout + "s") + "}\n";
    return yaml;
  }

  std::string keys_of(const Node& root) {
    const Node* general = root.find("general_settings");
    const std::string master = text_at(general, "master_key");
    if (master.empty()) {
      note("general_settings.master_key: there is none; who may ask is said in `keys`");
      if (!text_at(root.find("litellm_settings"), "max_budget").empty())
        note("litellm_settings.max_budget is left out: a budget is a tenant's, or a key's");
      return "";
    }
    return "keys:\n  litellm: {secret: " + scalar(secret(master, "LITELLM_MASTER_KEY")) + "}\n" +
           budget_of(root);
  }

  std::string budget_of(const Node& root) {
    const Node* settings = root.find("litellm_settings");
    const std::string most = text_at(settings, "max_budget");
    const std::string window = text_at(settings, "budget_duration");
    if (most.empty()) return "";
    const bool monthly = window == "30d" || window == "1mo";
    if (!monthly && window != "1d" && window != "24h") {
      note("litellm_settings.max_budget: budgets are for a day or a month here; it is left out");
      return "";
    }
    if (most.find_first_not_of("0123456789.") != most.npos) {
      note("litellm_settings.max_budget is no number here; it is left out");
      return "";
    }
    return std::string("tenants:\n  litellm: {budget: {") + (monthly ? "month" : "day") + ": " +
           most + "usd, hard: true}}\n";
  }

  Imported imported_;
  std::set<std::string> names_;
  std::map<std::string, std::vector<std::string>> aliases_;  // By the model they stand for.
  std::set<std::string> known_;                              // The models that are served.
  bool has_weights_ = false;
};

}  // namespace

Imported import_litellm(std::string_view text) {
  Document document = parse_document(text);
  if (document.problems.empty()) return Importing().run(document.root);
  Imported failed;
  failed.problems = std::move(document.problems);
  return failed;
}

}  // namespace spillway::config
