// What the small files of a Hugging Face folder say of text, beside tokenizer.json.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/contract/sampling_defaults.h"

#include <cstdint>
#include <string>
#include <vector>

namespace spillway::loader {

struct FolderText {
  std::string tokenizer;      // tokenizer.json, whole.
  std::string chat_template;  // Of chat_template.jinja, else of tokenizer_config.json; or empty.
  std::string tool_template;  // Another one, for conversations with tools; or empty.
  std::string begin;          // Tokens by name; empty: none.
  std::string end;
  bool adds_begin = false;                // Before a text that has no template.
  std::vector<std::int64_t> stop_tokens;  // Of generation_config.json, else of config.json.
  SamplingDefaults sampling;              // Of generation_config.json.
};

// Errors name the file.
Result<FolderText> read_folder_text(const std::string& folder);

}  // namespace spillway::loader
