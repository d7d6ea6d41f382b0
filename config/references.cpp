#include "config/references.h"

#include "config/nearest.h"
#include "config/residency.h"

#include <algorithm>
#include <utility>

namespace spillway::config {
namespace {

std::string item(const std::string& path, std::size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

Names list_of(const std::set<std::string>& names) { return {names.begin(), names.end()}; }

class References {
 public:
  References(const Settings& settings, const Declared& declared, Reader& reader)
      : settings_(settings), declared_(declared), reader_(reader) {
    for (const LocalTarget& local : settings.local) add_served(local.serves);
    for (const ProviderTarget& provider : settings.providers) {
      providers_.insert(provider.name);
      add_served(provider.serves);
    }
    models_ = served_;
    for (const Alias& alias : settings.policy.aliases) models_.insert(alias.name);
    const auto& problems = reader.problems();
    models_known_ = std::none_of(problems.begin(), problems.end(), [](const Problem& problem) {
      return problem.path.starts_with("targets");
    });
  }

  void check() {
    check_server();
    check_budgets();
    check_targets();
    for (const Key& key : settings_.keys) check_key(key);
    for (const ModelLimits& model : settings_.model_limits) check_model_limits(model);
    for (const Alias& alias : settings_.policy.aliases) check_alias(alias);
    for (const RequestClass& one : settings_.policy.classes) check_class(one);
    check_default_class();
    check_batch_class();
  }

 private:
  void add_served(const std::vector<ServedModel>& serves) {
    for (const ServedModel& model : serves) served_.insert(model.name);
  }

  void expect(const std::set<std::string>& known, const std::string& name, const std::string& path,
              const std::string& what) {
    if (known.count(name) != 0) return;
    reader_.report(
        path, "there is no " + what + " " + in_quotes(name) + suggestion(name, list_of(known)));
  }

  void check_server() {
    const Server& server = settings_.server;
    if (server.listen == server.admin && server.listen.port != 0) {
      reader_.report("server.admin", "is the same as server.listen: they need a port each");
    }
    for (std::size_t i = 0; i < server.cors_origins.size(); ++i)
      check_origin(server.cors_origins[i], item("server.cors_origins", i));
  }

  // What a browser sends as `origin`: a slash at its end would never match.
  void check_origin(const std::string& origin, const std::string& path) {
    const auto host = origin.find("://");
    const bool is_one = (origin.starts_with("https://") || origin.starts_with("http://")) &&
                        origin.size() > host + 3 && origin.find('/', host + 3) == origin.npos;
    if (origin != "*" && !is_one)
      reader_.report(path, in_quotes(origin) + " is no origin: write https://host, or " +
                               "https://host:port, without a path, or \"*\"");
  }

  // A budget that nobody keeps would be worse than none.
  void check_budgets() {
    const bool any = std::any_of(settings_.tenants.begin(), settings_.tenants.end(),
                                 [](const Tenant& tenant) { return tenant.budget.limited(); }) ||
                     std::any_of(settings_.keys.begin(), settings_.keys.end(),
                                 [](const Key& key) { return key.budget.limited(); });
    if (any && !settings_.ledger.enabled)
      reader_.report("ledger.enabled",
                     "must be true: there are budgets, and the ledger keeps them");
  }

  void check_targets() {
    if (declared_.targets.empty() && models_known_) {
      reader_.report("targets", "has no target: at least one must answer requests");
    }
    for (std::size_t i = 1; i < settings_.local.size(); ++i) {
      reader_.report("targets." + settings_.local[i].name,
                     "is a second local target: one engine runs in this process");
    }
    for (const LocalTarget& local : settings_.local) {
      check_executor(local);
      if (local.executor == "synthetic" || !local.model_path.empty()) continue;
      const std::string path = "targets." + local.name + ".model";
      const auto& problems = reader_.problems();
      const bool told = std::any_of(problems.begin(), problems.end(),
                                    [&](const Problem& problem) { return problem.path == path; });
      if (!told) reader_.report(path, "is missing: the model's GGUF file or folder");
    }
  }

  // What an executor does not do.
  void check_executor(const LocalTarget& local) {
    const auto refuse = [&](const char* key, const char* what) {
      reader_.report("targets." + local.name + "." + key, what);
    };
    const std::string& precision = local.precision;
    if (local.executor != "torch" && local.speculation.drafts > 0)
      refuse("speculation.drafts", "takes executor: torch");
    if (local.executor == "cuda") {
      const bool integer = precision == "int8" || precision == "int4";
      if (precision == "fp32") refuse("precision", "takes executor: torch");
      if (integer && local.tensor_parallel != 1) {
        refuse("tensor_parallel", "takes precision: bf16 or fp8; int8 and int4 run on one GPU");
      }
      return;
    }
    if (precision == "fp8" || precision == "int4") refuse("precision", "takes executor: cuda");
    if (local.tensor_parallel != 1) refuse("tensor_parallel", "takes executor: cuda");
    if (local.kv_cache != "bf16") refuse("kv_cache", "takes executor: cuda");
  }

  void check_key(const Key& key) {
    const std::string path = "keys." + key.name;
    if (!is_name(key.tenant)) reader_.report(path + ".tenant", std::string(kNameRule));
    if (!key.project.empty() && !is_name(key.project))
      reader_.report(path + ".project", std::string(kNameRule));
    for (std::size_t i = 0; models_known_ && i < key.models.size(); ++i)
      expect(models_, key.models[i], item(path + ".models", i), "model");
    if (!key.default_class.empty()) {
      expect(declared_.classes, key.default_class, path + ".class", "class");
    }
    for (std::size_t i = 0; i < key.classes.size(); ++i) {
      expect(declared_.classes, key.classes[i], item(path + ".may_name", i), "class");
    }
  }

  // A limit on what nobody can ask for is a slip.
  void check_model_limits(const ModelLimits& model) {
    if (models_known_) expect(models_, model.name, "model_limits." + shown(model.name), "model");
  }

  void check_alias(const Alias& alias) {
    const std::string path = "models." + shown(alias.name);
    if (served_.count(alias.name) != 0) {
      reader_.report(path, "is also served by a target: an alias needs a name of its own");
    }
    for (const auto& [target, model] : alias.model_on) {
      expect(declared_.targets, target, path + "." + shown(target), "target");
      if (models_known_ && declared_.targets.count(target) != 0) {
        expect(served_by(target), model, path + "." + shown(target),
               "model of target `" + target + "`:");
      }
    }
  }

  std::set<std::string> served_by(const std::string& target) const {
    std::set<std::string> names;
    const auto add = [&](const auto& one) {
      if (one.name != target) return;
      for (const ServedModel& model : one.serves) names.insert(model.name);
    };
    for (const LocalTarget& local : settings_.local) add(local);
    for (const ProviderTarget& provider : settings_.providers) add(provider);
    return names;
  }

  void check_class(const RequestClass& one) {
    const std::string path = "classes." + one.name;
    if (models_known_ && !someone_is_here(settings_) && !has_a_place(settings_, one)) {
      reader_.report(path + ".residency",
                     "nobody may answer the class: no target that it uses says that its data stays "
                     "there; say so with `residency` of that target");
    }
    if (one.spill == Spill::cheapest_before_deadline && !one.sla.deadline) {
      reader_.report(path + ".spill",
                     "cheapest_before_deadline needs a deadline: add `sla: {deadline: 15m}`");
    }
    for (std::size_t i = 0; i < one.providers.size(); ++i) {
      check_provider(one.providers[i], item(path + ".providers", i));
    }
    for (std::size_t i = 0; i < one.match.size(); ++i) {
      const bool listed = one.match.size() > 1;
      check_match(one.match[i], path + ".match" + (listed ? "[" + std::to_string(i) + "]" : ""));
    }
  }

  void check_provider(const std::string& name, const std::string& path) {
    const auto& local = settings_.local;
    const bool is_local = std::any_of(
        local.begin(), local.end(), [&](const LocalTarget& target) { return target.name == name; });
    if (is_local) {
      reader_.report(path, in_quotes(name) +
                               " is the local target: `providers` names providers, "
                               "`spill` says when they are asked");
    } else if (declared_.targets.count(name) == 0) {
      expect(providers_, name, path, "provider");
    }
  }

  void check_match(const ClassMatch& match, const std::string& path) {
    for (std::size_t i = 0; i < match.keys.size(); ++i) {
      expect(declared_.keys, match.keys[i], item(path + ".key", i), "key");
    }
    for (std::size_t i = 0; models_known_ && i < match.models.size(); ++i) {
      expect(models_, match.models[i], item(path + ".model", i), "model");
    }
    for (std::size_t i = 0; i < match.endpoints.size(); ++i) {
      if (match.endpoints[i].starts_with("/")) continue;
      reader_.report(item(path + ".endpoint", i),
                     in_quotes(match.endpoints[i]) + " is not a path such as /v1/chat/completions");
    }
  }

  void check_batch_class() {
    const std::string& name = settings_.batch.request_class;
    if (!name.empty()) expect(declared_.classes, name, "batch.class", "class");
  }

  void check_default_class() {
    const std::string& name = settings_.policy.default_class;
    if (!name.empty()) {
      expect(declared_.classes, name, "default_class", "class");
    } else if (declared_.classes.size() > 1) {
      reader_.report("classes",
                     "has several classes: say which is the default with "
                     "`default_class: NAME`");
    }
  }

  const Settings& settings_;
  const Declared& declared_;
  Reader& reader_;
  std::set<std::string> providers_;
  std::set<std::string> served_;
  std::set<std::string> models_;
  bool models_known_ = false;  // False: targets have problems, so names of models may be missing.
};

class SecretReader {
 public:
  SecretReader(const Environment& environment, Reader& reader, FilesRead& files)
      : environment_(environment), reader_(reader), files_(files) {}

  void read(const std::string& source, std::string& secret, const std::string& path) {
    if (source.empty()) return;
    auto found = read_secret(source, environment_, files_);
    if (const auto* mistake = std::get_if<Mistake>(&found)) {
      reader_.report(path, mistake->message);
      return;
    }
    secret = std::move(std::get<std::string>(found));
  }

 private:
  const Environment& environment_;
  Reader& reader_;
  FilesRead& files_;
};

}  // namespace

bool someone_is_here(const Settings& settings) {
  return !settings.local.empty() ||
         std::any_of(settings.providers.begin(), settings.providers.end(),
                     [](const ProviderTarget& provider) { return provider.is_here(); });
}

Names residencies_of(const Settings& settings) {
  Names names;
  for (const ProviderTarget& provider : settings.providers) {
    if (!provider.residency.empty()) names.push_back(provider.residency);
  }
  return names;
}

bool has_a_place(const Settings& settings, const RequestClass& one) {
  return one.residency.empty() ||
         std::any_of(settings.providers.begin(), settings.providers.end(),
                     [&](const ProviderTarget& provider) {
                       return one.uses(provider.name) &&
                              lets_go_to(one.residency, provider.residency);
                     });
}

void check_references(const Settings& settings, const Declared& declared, Reader& reader) {
  References(settings, declared, reader).check();
}

void read_secrets(Settings& settings, const Environment& environment, Reader& reader,
                  FilesRead& files) {
  SecretReader secrets(environment, reader, files);
  secrets.read(settings.server.admin_key_source, settings.server.admin_key, "server.admin_key");
  secrets.read(settings.ledger.postgres_source, settings.ledger.postgres, "ledger.postgres");
  for (Key& key : settings.keys)
    secrets.read(key.secret_source, key.secret, "keys." + key.name + ".secret");
  for (ProviderTarget& provider : settings.providers)
    secrets.read(provider.key_source, provider.key, "targets." + provider.name + ".key");
  for (std::size_t i = 0; i < settings.keys.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const Key& one = settings.keys[i];
      const Key& other = settings.keys[j];
      if (one.secret.empty() || one.secret != other.secret) continue;
      reader.report("keys." + one.name + ".secret",
                    "is the same secret as that of key `" + other.name + "`");
    }
  }
}

}  // namespace spillway::config
