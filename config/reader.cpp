#include "config/reader.h"

#include "config/nearest.h"

#include <algorithm>
#include <utility>

namespace spillway::config {
namespace {

std::string found(const Node& node) {
  switch (node.shape) {
    case Node::Shape::nothing: return "nothing";
    case Node::Shape::sequence: return "a list";
    case Node::Shape::mapping: return "a block of keys";
    case Node::Shape::scalar: break;
  }
  return in_quotes(node.text);
}

Place place_of(const Node& node) { return {node.line, node.column}; }

// The keys that may stand at a level: the next segment of every row under `prefix`.
Names keys_under(const std::string& prefix, const std::vector<const RowText*>& rows) {
  Names keys;
  for (const RowText* row : rows) {
    if (!row->key.starts_with(prefix)) continue;
    const auto rest = row->key.substr(prefix.size());
    const std::string key(rest.substr(0, rest.find('.')));
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  }
  return keys;
}

std::optional<double> number_of(const Value& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  if (const auto* decimal = std::get_if<double>(&value)) return *decimal;
  return std::nullopt;
}

bool within(const Value& value, const Range& range) {
  const auto number = number_of(value);
  return !number || (*number >= range.min && *number <= range.max);
}

}  // namespace

Place Places::of(std::string path) const {
  while (true) {
    const auto found = places_.find(path);
    if (found != places_.end()) return found->second;
    const auto cut = path.find_last_of(".[");
    if (path.empty()) return {};
    path.resize(cut == std::string::npos ? 0 : cut);
  }
}

std::map<std::string, int> Places::lines() const {
  std::map<std::string, int> lines;
  for (const auto& [path, place] : places_) lines.emplace(path, place.line);
  return lines;
}

std::string Reader::join(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

void Reader::report(const std::string& path, std::string message) {
  report_at(places_.of(path), path, std::move(message));
}

void Reader::report_at(Place place, const std::string& path, std::string message) {
  problems_.push_back({place.line, place.column, path, std::move(message)});
}

void Reader::note(const Entry& entry, const std::string& path) {
  const bool beside =
      entry.value.shape == Node::Shape::scalar || entry.value.shape == Node::Shape::sequence;
  places_.note(path, beside ? place_of(entry.value) : Place{entry.line, entry.column});
}

std::vector<const Entry*> Reader::entries(const Node& block, const std::string& path) {
  std::vector<const Entry*> entries;
  if (block.shape == Node::Shape::nothing) return entries;
  if (block.shape != Node::Shape::mapping) {
    report_at(place_of(block), path,
              "expected a block `name: …` for each one, found " + found(block));
    return entries;
  }
  for (const Entry& entry : block.entries) {
    const std::string entry_path = join(path, shown(entry.key));
    note(entry, entry_path);
    if (looks_like_secret(entry.key)) {
      report_at({entry.line, entry.column}, entry_path, std::string(kSecretRule));
    } else if (!is_name(entry.key)) {
      report_at({entry.line, entry.column}, entry_path, std::string(kNameRule));
    } else {
      entries.push_back(&entry);
    }
  }
  return entries;
}

std::vector<const Node*> Reader::match_keys(const Node& block, const std::string& path,
                                            const Texts& rows) {
  std::vector<const Node*> given(rows.size(), nullptr);
  match_level(block, path, "", rows, given);
  return given;
}

void Reader::match_level(const Node& block, const std::string& path, const std::string& prefix,
                         const Texts& rows, std::vector<const Node*>& given) {
  if (block.shape == Node::Shape::nothing) return;
  if (block.shape != Node::Shape::mapping) {
    report_at(place_of(block), path, "expected a block of keys, found " + found(block));
    return;
  }
  for (const Entry& entry : block.entries) {
    const std::string key = prefix + entry.key;
    const std::string entry_path = join(path, shown(entry.key));
    note(entry, entry_path);
    const auto exact =
        std::find_if(rows.begin(), rows.end(), [&](const RowText* row) { return row->key == key; });
    if (exact != rows.end()) {
      given[exact - rows.begin()] = &entry.value;
    } else if (!keys_under(key + ".", rows).empty()) {
      match_level(entry.value, entry_path, key + ".", rows, given);
    } else {
      report_unknown(entry, entry_path, prefix, rows);
    }
  }
}

void Reader::report_unknown(const Entry& entry, const std::string& path, const std::string& prefix,
                            const Texts& rows) {
  std::string advice = suggestion(entry.key, keys_under(prefix, rows));
  if (!advice.starts_with(",")) {
    // Right word, wrong level: `connect` for `timeouts.connect`.
    for (const RowText* row : rows) {
      if (row->key.ends_with("." + entry.key))
        advice = ", did you mean `" + std::string(row->key) + "`?";
    }
  }
  report_at({entry.line, entry.column}, path, "unknown key" + advice);
}

void Reader::report_missing(const std::string& path, const RowText& row) {
  report(path, "is missing: " + expectation(row.kind, row.words));
}

void Reader::report_too_fine(const std::string& path, const Node& node) {
  report_at(place_of(node), path,
            found(node) + " is finer than a millisecond, which is the least here");
}

Value Reader::fallback_of(const RowText& row) {
  return std::get<Value>(parse_value(row.kind, row.fallback, row.words));
}

std::optional<Value> Reader::read_value(const Node& node, const std::string& path,
                                        const RowText& row) {
  switch (row.kind) {
    case Kind::urls: return read_urls(node, path, row);
    case Kind::names: return read_names(node, path, row);
    case Kind::served: return read_served(node, path, row);
    default: return read_scalar(node, path, row);
  }
}

std::optional<Value> Reader::read_scalar(const Node& node, const std::string& path,
                                         const RowText& row) {
  const bool empty = node.shape == Node::Shape::scalar && node.text.empty();
  if (node.shape == Node::Shape::nothing || empty) {
    report(path, "has no value: expected " + expectation(row.kind, row.words));
    return std::nullopt;
  }
  if (node.shape != Node::Shape::scalar) {
    report(path, "expected " + expectation(row.kind, row.words) + ", found " + found(node));
    return std::nullopt;
  }
  auto parsed = parse_value(row.kind, node.text, row.words);
  if (const auto* mistake = std::get_if<Mistake>(&parsed)) {
    const bool near = row.kind == Kind::word && !nearest(node.text, row.words).empty();
    report(path, mistake->message + (near ? suggestion(node.text, row.words) : ""));
    return std::nullopt;
  }
  if (!within(std::get<Value>(parsed), row.range)) {
    report(path, found(node) + " is out of range: " + describe(row.kind, row.range));
    return std::nullopt;
  }
  return std::get<Value>(parsed);
}

std::optional<std::string> Reader::read_name(const Node& node, const std::string& path,
                                             const RowText& row) {
  if (node.shape != Node::Shape::scalar || node.text.empty()) {
    report_at(place_of(node), path, "expected a name, found " + found(node));
    return std::nullopt;
  }
  const Kind kind = row.words.empty() ? Kind::text : Kind::word;
  const auto parsed = parse_value(kind, node.text, row.words);
  if (const auto* mistake = std::get_if<Mistake>(&parsed)) {
    report_at(place_of(node), path, mistake->message);
    return std::nullopt;
  }
  return node.text;
}

std::optional<Value> Reader::read_names(const Node& node, const std::string& path,
                                        const RowText& row) {
  const bool list = node.shape == Node::Shape::sequence;
  if (node.shape != Node::Shape::scalar && (!list || node.items.empty())) {
    const std::string otherwise(row.fallback_sentence);
    report(path, "expected " + expectation(row.kind) + ", found " +
                     (list ? "an empty list" : found(node)) +
                     (otherwise.empty() ? "" : "; leave the key out for: " + otherwise));
    return std::nullopt;
  }
  Names names;
  const std::size_t count = list ? node.items.size() : 1;
  for (std::size_t i = 0; i < count; ++i) {
    const Node& item = list ? node.items[i] : node;
    const std::string item_path = path + "[" + std::to_string(i) + "]";
    places_.note(item_path, place_of(item));
    auto name = read_name(item, item_path, row);
    if (!name) continue;
    if (std::find(names.begin(), names.end(), *name) != names.end()) {
      report(item_path, in_quotes(*name) + " is named twice");
      continue;
    }
    names.push_back(std::move(*name));
  }
  return names;
}

// A list is as long as its row's range says.
std::optional<Value> Reader::read_urls(const Node& node, const std::string& path,
                                       const RowText& row) {
  RowText one = row;
  one.kind = Kind::url;
  one.range = {};
  if (node.shape != Node::Shape::sequence) {
    auto url = read_scalar(node, path, one);
    if (!url) return std::nullopt;
    return Names{std::get<std::string>(*url)};
  }
  if (!within(static_cast<std::int64_t>(node.items.size()), row.range)) {
    report(path, std::to_string(node.items.size()) +
                     " of them: " + describe(Kind::count, row.range) + " are possible");
    return std::nullopt;
  }
  Names urls;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const std::string item_path = path + "[" + std::to_string(i) + "]";
    places_.note(item_path, place_of(node.items[i]));
    const auto url = read_scalar(node.items[i], item_path, one);
    if (!url) continue;
    const std::string& text = std::get<std::string>(*url);
    if (std::find(urls.begin(), urls.end(), text) != urls.end())
      report(item_path, in_quotes(text) + " is named twice");
    urls.push_back(text);
  }
  return urls;
}

std::optional<Value> Reader::read_served(const Node& node, const std::string& path,
                                         const RowText& row) {
  Pairs pairs;
  if (node.shape != Node::Shape::mapping) {
    const auto names = read_names(node, path, row);
    if (!names) return std::nullopt;
    for (const std::string& name : std::get<Names>(*names)) {
      if (!is_model_name(name)) report(path, std::string(kModelNameRule));
      pairs.emplace_back(name, name);
    }
    return pairs;
  }
  for (const Entry& entry : node.entries) {
    const std::string entry_path = join(path, shown(entry.key));
    note(entry, entry_path);
    if (!is_model_name(entry.key)) report(entry_path, std::string(kModelNameRule));
    const auto upstream = entry.value.shape == Node::Shape::nothing
                              ? std::optional(entry.key)
                              : read_name(entry.value, entry_path, row);
    if (upstream) pairs.emplace_back(entry.key, *upstream);
  }
  if (pairs.empty()) report(path, "serves nothing: expected " + expectation(row.kind));
  return pairs;
}

}  // namespace spillway::config
