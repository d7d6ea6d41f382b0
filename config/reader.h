// Reads a block of the document through the rows of the schema, and collects every problem on the
// way instead of stopping at the first. Used by load.cpp alone; one Reader a file, one thread.
#pragma once

#include "config/document.h"
#include "config/problem.h"
#include "config/schema.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace spillway::config {

struct Place {
  int line = 0;
  int column = 0;
};

// Dotted path → where it stands. What is not in the file stands where its nearest parent does.
class Places {
 public:
  void note(const std::string& path, Place place) { places_.emplace(path, place); }
  Place of(std::string path) const;
  bool has(const std::string& path) const { return places_.contains(path); }
  std::map<std::string, int> lines() const;  // Of all that was noted.

 private:
  std::map<std::string, Place> places_;
};

class Reader {
 public:
  // Sets the fields of `owner` that the block gives, and the fallbacks of those it does not.
  // Rows of Kind::block are known here, and read by the caller.
  template <class Owner>
  void read_rows(const Node& block, const std::string& path, const std::vector<Row<Owner>>& rows,
                 Owner& owner) {
    std::vector<const RowText*> texts;
    for (const Row<Owner>& row : rows) texts.push_back(&row.text);
    const auto given = match_keys(block, path, texts);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::string row_path = join(path, std::string(rows[i].text.key));
      if (given[i] == nullptr) {
        if (rows[i].text.required) report_missing(row_path, rows[i].text);
        if (!rows[i].text.fallback.empty()) rows[i].field.set(owner, fallback_of(rows[i].text));
        continue;
      }
      if (rows[i].text.kind == Kind::block) continue;
      const auto value = read_value(*given[i], row_path, rows[i].text);
      if (!value || rows[i].field.set == nullptr) continue;
      rows[i].field.set(owner, *value);
      if (rows[i].field.get(owner) != *value) report_too_fine(row_path, *given[i]);
    }
  }

  // The entries of a block such as `targets`; names that cannot stand as such are reported. Null
  // and empty blocks have none.
  std::vector<const Entry*> entries(const Node& block, const std::string& path);

  void report(const std::string& path, std::string message);  // At the place of `path`.
  void report_at(Place place, const std::string& path, std::string message);

  Places& places() { return places_; }
  std::vector<Problem>& problems() { return problems_; }

  static std::string join(const std::string& path, const std::string& key);

 private:
  using Texts = std::vector<const RowText*>;

  // For each row the node that gives it, or null. Reports unknown keys.
  std::vector<const Node*> match_keys(const Node& block, const std::string& path,
                                      const Texts& rows);
  void match_level(const Node& block, const std::string& path, const std::string& prefix,
                   const Texts& rows, std::vector<const Node*>& given);
  void report_unknown(const Entry& entry, const std::string& path, const std::string& prefix,
                      const Texts& rows);
  void report_missing(const std::string& path, const RowText& row);
  void report_too_fine(const std::string& path, const Node& node);
  void note(const Entry& entry, const std::string& path);

  std::optional<Value> read_value(const Node& node, const std::string& path, const RowText& row);
  std::optional<Value> read_scalar(const Node& node, const std::string& path, const RowText& row);
  std::optional<Value> read_names(const Node& node, const std::string& path, const RowText& row);
  std::optional<Value> read_urls(const Node& node, const std::string& path, const RowText& row);
  std::optional<Value> read_served(const Node& node, const std::string& path, const RowText& row);
  // The text of a scalar that is one name of several, or nothing, reported.
  std::optional<std::string> read_name(const Node& node, const std::string& path,
                                       const RowText& row);
  static Value fallback_of(const RowText& row);

  Places places_;
  std::vector<Problem> problems_;
};

}  // namespace spillway::config
