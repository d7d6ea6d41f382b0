// The documents that are written from the schema's rows: the reference page for people and the JSON
// schema for editors. Both are committed (config/REFERENCE.md, config/schema.json); a test keeps
// them in step. Pure.
#pragma once

#include <string>

namespace spillway::config {

// Markdown.
std::string reference_page();

// JSON Schema, draft 7: what editors' YAML servers understand best.
std::string json_schema();

}  // namespace spillway::config
