#include "config/reference.h"

#include "config/language/fact.h"
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

constexpr std::string_view kLanguage =
    "\n## Conditions\n\n"
    "What stands in a rule's `if`. Every type is checked when the file is read; a mistake is told "
    "with line\nand column.\n\n"
    "| written | means |\n|---|---|\n"
    "| `9000`, `20%`, `800ms`, `1.5h`, `0.02usd`, `22:00`, `'text'`, `true` | a number (20% is "
    "0.2), "
    "a duration, an amount of money, a time of day, a text, a condition |\n"
    "| `<` `<=` `>` `>=` `==` `!=` | compare two of the same type; texts and conditions with `==` "
    "and `!=` alone |\n"
    "| `class in ['chat', 'search']`, `not in` | one of a list of values |\n"
    "| `and` `or` `not` `( )` | join conditions; `and` binds closer than `or` |\n"
    "| `+` `-` `*` `/` | numbers, durations and money, each with its own kind; the latter two "
    "times "
    "or by a number; by their own kind they give a number |\n\n"
    "What is not known is infinite: the prediction of a target that cannot take the request, a "
    "promise that\nwas not made.\n";

std::string fact_line(const language::FactRow& row) {
  const std::string_view of = row.of == language::Of::nothing  ? ""
                              : row.of == language::Of::target ? "(TARGET)"
                                                               : "(PROVIDER)";
  return "| `" + std::string(row.word) + std::string(of) + "` | " + std::string(name_of(row.type)) +
         " | " + (row.givable ? "yes" : "no") + " | " + std::string(row.sentence) + " |\n";
}

std::string facts() {
  std::string text =
      "\n## Facts\n\nWhat conditions may ask for, and tests may give.\n\n"
      "| fact | type | in tests | meaning |\n|---|---|---|---|\n";
  for (const language::FactRow& row : language::fact_rows()) text += fact_line(row);
  return text;
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
  page += kLanguage;
  page += facts();
  return page;
}

}  // namespace spillway::config
