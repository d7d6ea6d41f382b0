#include "config/load.h"

#include "config/bounded_file.h"
#include "config/catalogue.h"
#include "config/check_callers.h"
#include "config/check_rules.h"
#include "config/check_unused.h"
#include "config/cross_check.h"
#include "config/digest.h"
#include "config/document.h"
#include "config/load_rules.h"
#include "config/reader.h"
#include "config/references.h"
#include "config/schema.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

namespace spillway::config {
namespace {

constexpr std::size_t kProblemsMax = 100;
std::string today() {
  const auto now = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  const std::chrono::year_month_day date{now};
  char text[32];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return text;
}

constexpr std::string_view kByName = "by_name";
constexpr std::string_view kPolicy = "policy";

// One pass over one document: each block of the top level has its reader below.
class Loading {
 public:
  explicit Loading(const Node& root) : root_(root) {}

  // Fills `settings` with what can be read of it; the rest is in reader().problems().
  void read(Settings& settings) {
    reader_.places().note("", {root_.line, root_.column});
    reader_.read_rows(root_, "", settings_rows(), settings);
    each("keys", [&](const Entry& entry, const std::string& path) {
      declared_.keys.insert(entry.key);
      read_key(entry, path, settings);
    });
    each("tenants", [&](const Entry& entry, const std::string& path) {
      Tenant& tenant = settings.tenants.emplace_back();
      tenant.name = entry.key;
      reader_.read_rows(entry.value, path, tenant_rows(), tenant);
    });
    each_model("model_limits", [&](const Entry& entry, const std::string& path) {
      ModelLimits& model = settings.model_limits.emplace_back();
      model.name = entry.key;
      reader_.read_rows(entry.value, path, model_limit_rows(), model);
    });
    each("targets", [&](const Entry& entry, const std::string& path) {
      declared_.targets.insert(entry.key);
      read_target(entry, path, settings);
    });
    each_model("models", [&](const Entry& entry, const std::string& path) {
      read_alias(entry, path, settings.policy.aliases.emplace_back());
    });
    each("classes", [&](const Entry& entry, const std::string& path) {
      declared_.classes.insert(entry.key);
      read_class(entry, path, settings);
    });
    read_rules(root_, settings, reader_);
    read_tests(root_, settings, reader_);
  }

  Reader& reader() { return reader_; }
  const Declared& declared() const { return declared_; }

 private:
  template <class Read>
  void each(const std::string& block, const Read& read) {
    const Node* node = root_.find(block);
    if (node == nullptr) return;
    for (const Entry* entry : reader_.entries(*node, block)) read(*entry, block + "." + entry->key);
  }

  void read_key(const Entry& entry, const std::string& path, Settings& settings) {
    Key& key = settings.keys.emplace_back();
    key.name = entry.key;
    key.tenant = entry.key;
    reader_.read_rows(entry.value, path, key_rows(), key);
  }

  void read_target(const Entry& entry, const std::string& path, Settings& settings) {
    const Node* kind = entry.value.find("kind");
    const std::string word = kind != nullptr ? kind->text : "";
    // A target without a proper kind is read as what it looks like, for the sake of its other keys;
    // the row of `kind` reports it.
    const bool provider = word == "provider" || (word != "local" && entry.value.find("base_url"));
    if (word == "encoder") {
      read_encoder(entry, path, settings);
    } else if (provider) {
      read_provider(entry, path, settings);
    } else {
      LocalTarget& local = settings.local.emplace_back();
      local.name = entry.key;
      reader_.read_rows(entry.value, path, local_rows(), local);
    }
  }

  void read_encoder(const Entry& entry, const std::string& path, Settings& settings) {
    ProviderTarget& encoder = settings.providers.emplace_back();
    encoder.name = entry.key;
    encoder.endpoints = {"embeddings"};
    reader_.read_rows(entry.value, path, encoder_rows(), encoder);
  }

  void read_provider(const Entry& entry, const std::string& path, Settings& settings) {
    ProviderTarget& target = settings.providers.emplace_back();
    target.name = entry.key;
    reader_.read_rows(entry.value, path, provider_rows(), target);
    if (target.batches.enabled && target.dialect != "openai")
      reader_.report(path + ".batches.enabled",
                     "is not known of dialect " + target.dialect + ": only openai has it");
    if (const Node* price = entry.value.find("price_per_million"))
      fill_in(*price, path + ".price_per_million.long", target.price);
  }

  // What is not said costs as much as what it is a kind of.
  void fill_in(const Node& given, const std::string& path_of_long, Price& price) {
    const auto follow = [](const Node& said, const char* key, NanoUsd& one, NanoUsd other) {
      if (said.find(key) == nullptr) one = other;
    };
    follow(given, "cached_input", price.cached_input_per_million, price.input_per_million);
    follow(given, "cache_write", price.cache_write_per_million, price.input_per_million);
    follow(given, "cache_write_1h", price.cache_write_1h_per_million,
           price.cache_write_per_million);
    follow(given, "audio_input", price.audio_input_per_million, price.input_per_million);
    follow(given, "audio_output", price.audio_output_per_million, price.output_per_million);
    const Node* given_long = given.find("long");
    if (given_long == nullptr) return;
    LongPrompts& at_length = price.long_prompts;
    if (given_long->find("above") == nullptr)
      return reader_.report(path_of_long, "has no `above`: from how many tokens on?");
    follow(*given_long, "cached_input", at_length.cached_input_per_million,
           at_length.input_per_million);
    follow(*given_long, "cache_write", at_length.cache_write_per_million,
           at_length.input_per_million);
    follow(*given_long, "cache_write_1h", at_length.cache_write_1h_per_million,
           at_length.cache_write_per_million);
    follow(*given_long, "audio_input", at_length.audio_input_per_million,
           std::max(price.audio_input_per_million, at_length.input_per_million));
    follow(*given_long, "audio_output", at_length.audio_output_per_million,
           std::max(price.audio_output_per_million, at_length.output_per_million));
    const bool dearer = at_length.input_per_million >= price.input_per_million &&
                        at_length.output_per_million >= price.output_per_million &&
                        at_length.audio_input_per_million >= price.audio_input_per_million &&
                        at_length.audio_output_per_million >= price.audio_output_per_million;
    if (at_length.above > 0 && !dearer)
      reader_.report(path_of_long,
                     "needs `input` and `output`, and no price may be less than for shorter "
                     "prompts: holds reckon with that");
  }

  // A block by names of models, which may hold more than other names do.
  template <class Read>
  void each_model(const std::string& block, const Read& read) {
    const Node* node = root_.find(block);
    if (node == nullptr || node->shape == Node::Shape::nothing) return;
    if (node->shape != Node::Shape::mapping) {
      reader_.report(block, "expected a block with an entry for each name");
      return;
    }
    for (const Entry& entry : node->entries) {
      const std::string path = block + "." + shown(entry.key);
      reader_.places().note(path, {entry.line, entry.column});
      if (!is_model_name(entry.key)) reader_.report(path, std::string(kModelNameRule));
      read(entry, path);
    }
  }

  // `name: policy`, or `name: {target: model}`.
  void read_alias(const Entry& entry, const std::string& path, Alias& alias) {
    alias.name = entry.key;
    const Node& value = entry.value;
    if (value.shape == Node::Shape::scalar && value.text == kPolicy) return;
    if (value.shape != Node::Shape::mapping || value.entries.empty()) {
      reader_.report(path, "expected `policy`, or a block `target: model`");
      return;
    }
    for (const Entry& pair : value.entries) {
      const std::string pair_path = path + "." + shown(pair.key);
      reader_.places().note(pair_path, {pair.line, pair.column});
      if (pair.value.shape != Node::Shape::scalar) {
        reader_.report(pair_path, "expected the name of one of the target's models");
        continue;
      }
      alias.model_on[pair.key] = pair.value.text;
    }
  }

  void read_class(const Entry& entry, const std::string& path, Settings& settings) {
    RequestClass& one = settings.policy.classes.emplace_back();
    one.name = entry.key;
    reader_.read_rows(entry.value, path, class_rows(), one);
    const Node* match = entry.value.find("match");
    if (match != nullptr) read_match(*match, path + ".match", one);
  }

  void read_match(const Node& node, const std::string& path, RequestClass& one) {
    if (node.shape == Node::Shape::scalar && node.text == kByName) {
      one.by_name = true;
    } else if (node.shape == Node::Shape::mapping) {
      read_matcher(node, path, one);
    } else if (node.shape == Node::Shape::sequence && !node.items.empty()) {
      for (std::size_t i = 0; i < node.items.size(); ++i) {
        const bool several = node.items.size() > 1;
        read_matcher(node.items[i], path + (several ? "[" + std::to_string(i) + "]" : ""), one);
      }
    } else {
      reader_.report(path, "expected a block of matchers, a list of them, or the word by_name");
    }
  }

  void read_matcher(const Node& node, const std::string& path, RequestClass& one) {
    reader_.places().note(path, {node.line, node.column});
    const std::size_t problems_before = reader_.problems().size();
    ClassMatch match;
    reader_.read_rows(node, path, match_rows(), match);
    if (match == ClassMatch{}) {
      if (reader_.problems().size() == problems_before) {
        reader_.report(path,
                       "fits nothing: give at least one of key, service_tier, model, endpoint");
      }
      return;
    }
    one.match.push_back(std::move(match));
  }

  const Node& root_;
  Reader reader_;
  Declared declared_;
};

// A file need not speak of classes, and one with a single class need not name its default.
void settle_classes(Policy& policy) {
  if (policy.classes.empty()) policy.classes.emplace_back().name = "default";
  if (policy.default_class.empty()) policy.default_class = policy.classes.front().name;
}

void sort_and_bound(std::vector<Problem>& problems) {
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  if (problems.size() <= kProblemsMax) return;
  const std::size_t rest = problems.size() - kProblemsMax;
  problems.resize(kProblemsMax);
  problems.push_back({0, 0, "", "and " + std::to_string(rest) + " more problems"});
}

// Empty: a problem may be of theirs.
std::optional<std::vector<Key>> keys_of(const Settings& settings,
                                        const std::vector<Problem>& problems) {
  const auto is_elsewhere = [](const Problem& one) {
    return !one.path.empty() && !one.path.starts_with("keys");
  };
  if (!std::all_of(problems.begin(), problems.end(), is_elsewhere)) return std::nullopt;
  return settings.keys;
}

}  // namespace

std::string to_string(const Problem& problem) {
  std::string text;
  if (problem.line > 0) {
    text = std::to_string(problem.line) + ":" + std::to_string(problem.column) + ": ";
  }
  if (!problem.path.empty()) text += problem.path + ": ";
  return text + problem.message;
}

Loaded load_text(std::string_view text, const std::string& source, const Environment& environment) {
  Loaded loaded;
  loaded.files[source] = sha256_hex(text);
  if (text.size() > kFileBytesMax) {
    loaded.problems.push_back({0, 0, "", "larger than 1MiB"});
    return loaded;
  }
  Document document = parse_document(text);
  loaded.problems = std::move(document.problems);
  const bool readable = document.root.shape == Node::Shape::mapping;
  if (!readable) {
    if (loaded.problems.empty()) {
      loaded.problems.push_back({0, 0, "", "holds no settings: expected a block of keys"});
    }
    return loaded;
  }

  auto settings = std::make_shared<Settings>();
  Catalogued catalogued = add_catalogue(document.root, source, today(), loaded.files);
  Loading loading(document.root);
  loading.read(*settings);
  check_references(*settings, loading.declared(), loading.reader());
  read_secrets(*settings, environment, loading.reader(), loaded.files);
  std::vector<Problem>& found = loading.reader().problems();
  name_catalogue(found, catalogued);
  loaded.problems.insert(loaded.problems.end(), found.begin(), found.end());
  loaded.problems.insert(loaded.problems.end(), catalogued.problems.begin(),
                         catalogued.problems.end());
  loaded.keys = keys_of(*settings, loaded.problems);
  sort_and_bound(loaded.problems);
  // What a catalogue could not tell is missing elsewhere.
  std::stable_partition(loaded.problems.begin(), loaded.problems.end(),
                        [](const Problem& problem) { return problem.path == "catalogue"; });
  if (!loaded.problems.empty()) return loaded;

  settle_classes(settings->policy);
  settings->source = source;
  settings->sha256 = sha256_hex(std::string(text) + catalogued.bytes);
  settings->origins.lines = loading.reader().places().lines();
  for (const auto check : {cross_check, check_callers, check_unused, check_rules}) {
    const std::vector<Problem> doubts = check(*settings, loading.reader().places());
    loaded.warnings.insert(loaded.warnings.end(), doubts.begin(), doubts.end());
  }
  loaded.warnings.insert(loaded.warnings.end(), catalogued.warnings.begin(),
                         catalogued.warnings.end());
  sort_and_bound(loaded.warnings);
  loaded.settings = std::move(settings);
  return loaded;
}

Loaded load_file(const std::string& path, const Environment& environment) {
  auto bytes = read_bounded(path, kFileBytesMax);
  if (const auto* unreadable = std::get_if<Unreadable>(&bytes)) {
    Loaded loaded;
    loaded.files[path] = "";
    loaded.problems.push_back({0, 0, "", "cannot read " + path + ": " + unreadable->reason});
    return loaded;
  }
  return load_text(std::get<std::string>(bytes), path, environment);
}

}  // namespace spillway::config
