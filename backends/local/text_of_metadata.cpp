#include "backends/local/text_parts_internal.h"
#include "backends/local/tokenizer/gguf_vocabulary.h"

#include <algorithm>
#include <array>
#include <utility>

namespace spillway::local {
namespace {

using loader::Metadata;
using tokenizer::TokenId;

// The id under a key, or nothing if the file does not name one.
Result<std::optional<TokenId>> token_id(const Metadata& metadata, const std::string& key,
                                        int size) {
  if (!metadata.contains(key)) return std::optional<TokenId>();
  const auto id = metadata.integer(key);
  if (!id) return id.error();
  if (*id < 0 || *id >= size) {
    return Error{Errc::internal, key + " is " + std::to_string(*id) + ", which is no token"};
  }
  return std::optional(static_cast<TokenId>(*id));
}

// Ends of a turn that files have had before there was a key for them.
constexpr std::array kEndsOfTurn = {"<|eot_id|>", "<|im_end|>", "<end_of_turn>"};

Result<std::vector<TokenId>> stop_tokens_of(const Metadata& metadata,
                                            const tokenizer::Tokenizer& tokens) {
  std::vector<TokenId> ids;
  const int size = tokens.size();
  for (const char* name : {"eos", "eot", "eom"}) {  // End of text, of turn, of message.
    const auto id = token_id(metadata, std::string("tokenizer.ggml.") + name + "_token_id", size);
    if (!id) return id.error();
    if (*id) ids.push_back(**id);
  }
  if (ids.empty()) return Error{Errc::internal, "tokenizer.ggml.eos_token_id is missing"};
  for (const char* const word : kEndsOfTurn) {
    const auto found = tokens.encode_control(word);
    const bool is_one = found.size() == 1 && tokens.is_special(found.front());
    if (is_one && std::ranges::count(ids, found.front()) == 0) ids.push_back(found.front());
  }
  return ids;
}

}  // namespace

Result<TextParts> text_of_metadata(const Metadata& metadata) {
  auto tokens = tokenizer::tokenizer_from(metadata);
  if (!tokens) return tokens.error();
  const int size = tokens->size();

  auto stops = stop_tokens_of(metadata, *tokens);
  if (!stops) return stops.error();
  const auto begin = token_id(metadata, "tokenizer.ggml.bos_token_id", size);
  if (!begin) return begin.error();
  const auto end = token_id(metadata, "tokenizer.ggml.eos_token_id", size);
  if (!end) return end.error();
  const auto adds_begin =
      metadata.flag("tokenizer.ggml.add_bos_token", tokenizer::usually_adds_begin(metadata));
  if (!adds_begin) return adds_begin.error();

  const auto source = metadata.text("tokenizer.chat_template");
  if (!source) return source.error();
  std::string for_tools;
  constexpr const char* kForTools = "tokenizer.chat_template.tool_use";
  if (metadata.contains(kForTools)) {
    const auto named = metadata.text(kForTools);
    if (!named) return named.error();
    for_tools = *named;
  }
  templates::SpecialWords words;
  if (*begin) words.bos_token = tokens->bytes_of(**begin);
  if (*end) words.eos_token = tokens->bytes_of(**end);
  return TextParts{std::move(*tokens), std::string(*source), std::move(for_tools),
                   std::move(words),   std::move(*stops),    *adds_begin ? *begin : std::nullopt};
}

}  // namespace spillway::local
