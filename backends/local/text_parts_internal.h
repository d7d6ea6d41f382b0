// What a TextModel is made of, found in either kind of model.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/contract/sampling_defaults.h"
#include "backends/local/loader/metadata.h"
#include "backends/local/template/chat_template.h"
#include "backends/local/tokenizer/tokenizer.h"

#include <optional>
#include <string>
#include <vector>

namespace spillway::local {

struct TextParts {
  tokenizer::Tokenizer tokenizer;
  std::string chat_template;
  std::string tool_template;  // For conversations with tools; empty: the same.
  templates::SpecialWords words;
  std::vector<tokenizer::TokenId> stop_tokens;    // In any order, perhaps twice; never empty.
  std::optional<tokenizer::TokenId> begin_token;  // Put before plain text.
  SamplingDefaults sampling = {};
};

// Errors name the key.
Result<TextParts> text_of_metadata(const loader::Metadata& metadata);

// Of tokenizer.json, tokenizer_config.json, generation_config.json, config.json and
// chat_template.jinja. Errors name the file.
Result<TextParts> text_of_folder(const std::string& folder);

}  // namespace spillway::local
