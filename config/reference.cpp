#include "config/reference.h"

#include "config/schema.h"

namespace spillway::config {
namespace {

constexpr std::string_view kIntroduction =
    R"(# Configuration reference

Every key of `config/spillway.yaml`, made from the rows of `config/schema.cpp` by
`spillway config reference`. `spillway check FILE` tells what is wrong with a file before it runs.

Values carry their units: `800ms`, `30s`, `5m`, `1h`; `16KiB`, `32MiB`; `2.75usd`. Secrets never
stand in the file: `env:NAME` reads an environment variable, `file:PATH` a file. A key marked
**restart** keeps its old value over a reload; all others apply to the next request.
)";

// "`8`", "required", or the words for what counts instead.
std::string default_of(const RowText& row) {
  if (row.required) return "required";
  if (!row.fallback_sentence.empty()) return std::string(row.fallback_sentence);
  return row.fallback.empty() ? "none" : "`" + row.fallback + "`";
}

std::string value_of(const RowText& row) {
  std::string text = expectation(row.kind, row.words);
  const bool numeric = row.kind == Kind::count || row.kind == Kind::decimal ||
                       row.kind == Kind::duration || row.kind == Kind::bytes;
  const std::string bounds = numeric ? describe(row.kind, row.range) : "";
  return bounds.empty() ? text : text + ", " + bounds;
}

std::string line_of(const RowText& row) {
  const std::string restart = row.reload == Reload::restart ? " **restart**" : "";
  return "| `" + std::string(row.key) + "` | " + value_of(row) + " | " + default_of(row) + " | " +
         std::string(row.sentence) + restart + " |\n";
}

}  // namespace

std::string reference_page() {
  std::string page(kIntroduction);
  for (const Section& section : sections()) {
    page += "\n## " + std::string(section.title) + "\n\n";
    if (!section.path.empty()) page += "`" + std::string(section.path) + ".…`: ";
    page += std::string(section.sentence) + "\n\n";
    page += "| key | value | default | meaning |\n|---|---|---|---|\n";
    for (const RowText& row : section.rows) page += line_of(row);
  }
  return page;
}

}  // namespace spillway::config
