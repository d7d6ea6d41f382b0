#include "backends/local/loader/folder_text.h"
#include "backends/local/text_parts_internal.h"
#include "backends/local/tokenizer/tokenizer_json.h"

#include <utility>

namespace spillway::local {
namespace {

using tokenizer::TokenId;

Error wrong(const std::string& folder, const std::string& what) {
  return Error{Errc::internal, folder + ": " + what};
}

// The token that this text is, if it is one.
std::optional<TokenId> token_of(const tokenizer::Tokenizer& tokenizer, const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto ids = tokenizer.encode_control(text);
  return ids.size() == 1 ? std::optional(ids.front()) : std::nullopt;
}

Result<std::vector<TokenId>> stop_tokens_of(const loader::FolderText& text,
                                            const tokenizer::Tokenizer& tokenizer,
                                            const std::string& folder) {
  std::vector<TokenId> ids;
  for (const std::int64_t id : text.stop_tokens) {
    if (id < 0 || id >= tokenizer.size())
      return wrong(folder, "eos_token_id is " + std::to_string(id) + ", which is no token");
    ids.push_back(static_cast<TokenId>(id));
  }
  if (const auto end = token_of(tokenizer, text.end)) ids.push_back(*end);
  if (ids.empty())
    return wrong(folder,
                 "no eos_token_id in generation_config.json or config.json, and no "
                 "eos_token in tokenizer_config.json: nothing would end an answer");
  return ids;
}

}  // namespace

Result<TextParts> text_of_folder(const std::string& folder) {
  auto text = loader::read_folder_text(folder);
  if (!text) return text.error();
  auto read = tokenizer::tokenizer_from_json(text->tokenizer);
  if (!read) return wrong(folder, read.error().message);
  if (text->chat_template.empty())
    return wrong(folder,
                 "has no chat template: chat_template.jinja, or chat_template in "
                 "tokenizer_config.json");
  auto stops = stop_tokens_of(*text, read->tokenizer, folder);
  if (!stops) return stops.error();
  const std::string& begin = text->adds_begin && read->begin.empty() ? text->begin : read->begin;
  const auto begin_token = token_of(read->tokenizer, begin);
  return TextParts{std::move(read->tokenizer),
                   std::move(text->chat_template),
                   std::move(text->tool_template),
                   {std::move(text->begin), std::move(text->end)},
                   std::move(*stops),
                   begin_token,
                   text->sampling};
}

}  // namespace spillway::local
