// The committed reference page and JSON schema say what the rows say, and the rows hold together.
// SPILLWAY_UPDATE=1 writes the two files anew.
#include "config/reference.h"
#include "config/schema.h"

#include <gtest/gtest.h>

#include <climits>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

namespace spillway::config {
namespace {

const std::string kFolder = std::string(SPILLWAY_SOURCE_DIR) + "/config/";

void expect_in_step(const std::string& file, const std::string& made) {
  if (std::getenv("SPILLWAY_UPDATE") != nullptr) std::ofstream(kFolder + file) << made;
  std::stringstream committed;
  committed << std::ifstream(kFolder + file).rdbuf();
  EXPECT_TRUE(committed.str() == made)
      << file << " is out of step with config/schema.cpp: run this test with SPILLWAY_UPDATE=1";
}

TEST(ConfigDocs, ReferencePageIsInStep) { expect_in_step("REFERENCE.md", reference_page()); }
TEST(ConfigDocs, JsonSchemaIsInStep) { expect_in_step("schema.json", json_schema()); }

TEST(ConfigDocs, EveryRowIsInBoth) {
  const std::string page = reference_page();
  const std::string schema = json_schema();
  for (const Section& section : sections()) {
    for (const RowText& row : section.rows) {
      const std::string key(row.key);
      EXPECT_NE(page.find("| `" + key + "` |"), std::string::npos) << key;
      const std::string last = key.substr(key.rfind('.') + 1);
      EXPECT_NE(schema.find("\"" + last + "\": {"), std::string::npos) << key;
    }
  }
}

template <class Owner>
void expect_sound(const std::vector<Row<Owner>>& rows) {
  std::set<std::string> blocks;
  std::string open;
  const Owner fresh{};
  for (const Row<Owner>& row : rows) {
    const std::string key(row.text.key);
    EXPECT_FALSE(row.text.sentence.empty()) << key;
    if (row.text.kind == Kind::count) {
      EXPECT_LE(row.text.range.max, INT_MAX) << key << ": its field is an int";
    }
    // The dump writes an inner block once, so its rows must stand together.
    const std::string block = key.substr(0, key.find('.') == std::string::npos ? 0 : key.find('.'));
    if (block != open && !block.empty()) {
      EXPECT_TRUE(blocks.insert(block).second) << key;
    }
    open = block;
    if (row.field.get == nullptr || row.text.required) continue;
    const Value fallback = row.field.get(fresh);
    if (const auto* number = std::get_if<std::int64_t>(&fallback)) {
      EXPECT_GE(static_cast<double>(*number), row.text.range.min) << key;
      EXPECT_LE(static_cast<double>(*number), row.text.range.max) << key;
    }
  }
}

TEST(ConfigDocs, RowsAreSound) {
  expect_sound(settings_rows());
  expect_sound(key_rows());
  expect_sound(local_rows());
  expect_sound(provider_rows());
  expect_sound(class_rows());
  expect_sound(match_rows());
}

}  // namespace
}  // namespace spillway::config
