#include "config/catalogue.h"

#include "config/value.h"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace spillway::config {
namespace {

constexpr std::string_view kTaken[] = {"architecture",      "batch_discount",
                                       "measured",          "price_per_million",
                                       "price_per_request", "price_per_search"};
constexpr std::string_view kPrice = "price_per_million";
constexpr std::string_view kWithPrice[] = {"batch_discount", "price_per_request",
                                           "price_per_search"};
constexpr std::string_view kDates[] = {"since", "until"};

bool is_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  return std::count_if(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }) == 8;
}

bool same(const Node& one, const Node& other) {
  return one.shape == other.shape && one.text == other.text &&
         std::equal(one.entries.begin(), one.entries.end(), other.entries.begin(),
                    other.entries.end(), [](const Entry& a, const Entry& b) {
                      return a.key == b.key && same(a.value, b.value);
                    });
}

// What is wrong with it is told where the target stands.
void move_to(Node& node, int line, int column) {
  node.line = line;
  node.column = column;
  node.text_column = 0;
  for (Entry& entry : node.entries) {
    entry.line = line;
    entry.column = column;
    move_to(entry.value, line, column);
  }
}

// The providers' own names of the models that a target serves.
std::vector<std::string> models_of(const Node& target) {
  const Node* serves = target.find("serves");
  std::vector<std::string> models;
  if (!serves) return models;
  if (serves->shape == Node::Shape::scalar) models.push_back(serves->text);
  for (const Node& item : serves->items) models.push_back(item.text);
  for (const Entry& entry : serves->entries)
    models.push_back(entry.value.text.empty() ? entry.key : entry.value.text);
  return models;
}

class Adding {
 public:
  Adding(Catalogued& to, std::string today) : to_(to), today_(std::move(today)) {}

  void check(const Node& catalogue) {
    const Node* version = catalogue.find("version");
    if (!version || !is_date(version->text))
      problem("version", "is missing: the day of its prices, such as 2026-11-26");
    const Node* providers = catalogue.find("providers");
    if (!providers || providers->shape != Node::Shape::mapping)
      return problem("providers",
                     "is missing: a block `provider: {model: {price_per_million: …}}`");
    for (const Entry& provider : providers->entries) {
      for (const Entry& model : provider.value.entries)
        check_model(provider.key + "." + model.key, model.value);
    }
  }

  void add(const Node& catalogue, Entry& target) {
    const Node* named = target.value.find("catalogued_as");
    const Node* providers = catalogue.find("providers");
    const Node* provider = providers ? providers->find(named ? named->text : target.key) : nullptr;
    if (!provider) return;
    const Node* first = nullptr;
    for (const std::string& model : models_of(target.value)) {
      const Node* entry = provider->find(model);
      if (!entry) continue;
      if (first && !same(*first, *entry))
        return to_.problems.push_back({target.line, target.column, "targets." + target.key,
                                       "its models cost differently: make them a target each"});
      first = entry;
    }
    if (first) take(*first, target);
  }

 private:
  void problem(const std::string& path, const std::string& message) {
    to_.problems.push_back({0, 0, "catalogue", in_quotes(to_.file) + ": " + path + " " + message});
  }

  void check_model(const std::string& name, const Node& model) {
    for (const Entry& entry : model.entries) {
      const bool dated = std::count(std::begin(kDates), std::end(kDates), entry.key) > 0;
      const bool known = dated || std::count(std::begin(kTaken), std::end(kTaken), entry.key) > 0;
      if (!known)
        problem(name + "." + entry.key,
                "is no such key; valid here: architecture, batch_discount, measured, "
                "price_per_million, price_per_request, price_per_search, since, until");
      if (dated && !is_date(entry.value.text))
        problem(name + "." + entry.key, "must be a day such as 2026-11-26");
    }
  }

  // What belongs to a price is not taken by who has another.
  void take(const Node& model, Entry& target) {
    const bool has_price = target.value.find(kPrice) != nullptr;
    bool taken = false;
    for (const Entry& entry : model.entries) {
      const bool with_price =
          std::count(std::begin(kWithPrice), std::end(kWithPrice), entry.key) > 0;
      const bool wanted = std::count(std::begin(kTaken), std::end(kTaken), entry.key) > 0 &&
                          !(has_price && with_price);
      if (!wanted || target.value.find(entry.key)) continue;
      Entry copy = entry;
      copy.line = target.line;
      copy.column = target.column;
      move_to(copy.value, target.line, target.column);
      target.value.entries.push_back(std::move(copy));
      to_.taken.insert("targets." + target.key + "." + entry.key);
      taken = true;
    }
    if (taken) warn_of_dates(model, target);
  }

  void warn_of_dates(const Node& model, const Entry& target) {
    const Node* since = model.find("since");
    const Node* until = model.find("until");
    const auto warn = [&](const std::string& message) {
      to_.warnings.push_back({target.line, target.column, "targets." + target.key, message});
    };
    if (since && today_ < since->text) warn("its price in the catalogue begins on " + since->text);
    if (until && today_ >= until->text) warn("its price in the catalogue ended on " + until->text);
  }

  Catalogued& to_;
  const std::string today_;
};

}  // namespace

Catalogued add_catalogue(Node& root, const std::string& source, const std::string& today,
                         FilesRead& files) {
  Catalogued catalogued;
  const Node* path = root.find("catalogue");
  if (!path || path->text.empty()) return catalogued;
  const auto folder = std::filesystem::path(source).parent_path();
  const std::string file = (folder / path->text).string();
  catalogued.file = path->text;
  auto bytes = read_noted(file, kFileBytesMax, files);
  if (const auto* unreadable = std::get_if<Unreadable>(&bytes)) {
    catalogued.problems.push_back({path->line, path->column, "catalogue",
                                   "cannot read " + in_quotes(file) + ": " + unreadable->reason});
    return catalogued;
  }
  catalogued.bytes = std::get<std::string>(std::move(bytes));
  const Document document = parse_document(catalogued.bytes);
  for (const Problem& problem : document.problems)
    catalogued.problems.push_back({path->line, path->column, "catalogue",
                                   in_quotes(catalogued.file) + ": " + to_string(problem)});
  if (!document.problems.empty()) return catalogued;
  Adding adding(catalogued, today);
  adding.check(document.root);
  for (Problem& problem : catalogued.problems) {
    problem.line = path->line;
    problem.column = path->column;
  }
  for (Entry& block : root.entries) {
    if (block.key != "targets") continue;
    for (Entry& target : block.value.entries) {
      if (target.value.find("base_url")) adding.add(document.root, target);
    }
  }
  return catalogued;
}

void name_catalogue(std::vector<Problem>& problems, const Catalogued& catalogued) {
  for (Problem& problem : problems) {
    const bool from_it = std::any_of(
        catalogued.taken.begin(), catalogued.taken.end(), [&](const std::string& taken) {
          return problem.path == taken || problem.path.starts_with(taken + ".");
        });
    if (from_it) problem.message += ", in the catalogue " + in_quotes(catalogued.file);
  }
}

}  // namespace spillway::config
