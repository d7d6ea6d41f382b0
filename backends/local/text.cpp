#include "backends/local/text.h"

#include "backends/local/loader/model_file.h"
#include "backends/local/template/chat_template.h"
#include "backends/local/tokenizer/gguf_vocabulary.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>

namespace spillway::local {
namespace {

using loader::Metadata;

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

Result<std::vector<TokenId>> stop_tokens_of(const Metadata& metadata, int size) {
  std::vector<TokenId> ids;
  for (const char* name : {"eos", "eot", "eom"}) {  // End of text, of turn, of message.
    const auto id = token_id(metadata, std::string("tokenizer.ggml.") + name + "_token_id", size);
    if (!id) return id.error();
    if (*id) ids.push_back(**id);
  }
  if (ids.empty()) return Error{Errc::internal, "tokenizer.ggml.eos_token_id is missing"};
  std::ranges::sort(ids);
  const auto doubled = std::ranges::unique(ids);
  ids.erase(doubled.begin(), doubled.end());
  return ids;
}

// Segments that point into the text.
std::vector<tokenizer::Segment> segments_of(const templates::MarkedText& text) {
  std::vector<tokenizer::Segment> segments;
  std::size_t at = 0;
  for (const auto& range : text.input()) {
    segments.push_back({text.bytes().substr(at, range.begin - at), true});
    segments.push_back({text.bytes().substr(range.begin, range.end - range.begin), false});
    at = range.end;
  }
  segments.push_back({text.bytes().substr(at), true});
  return segments;
}

}  // namespace

struct TextModel::Parts {
  tokenizer::Tokenizer tokenizer;
  templates::ChatTemplate chat_template;
  std::vector<TokenId> stop_tokens;
  std::optional<TokenId> begin_token;  // Put before plain text.
  int context_length = 0;
};

Result<TextModel> TextModel::from_file(const loader::ModelFile& file) {
  const Metadata& metadata = file.metadata();
  auto tokens = tokenizer::tokenizer_from(metadata);
  if (!tokens) return tokens.error();
  const int size = tokens->size();

  auto stops = stop_tokens_of(metadata, size);
  if (!stops) return stops.error();
  const auto begin = token_id(metadata, "tokenizer.ggml.bos_token_id", size);
  if (!begin) return begin.error();
  const auto end = token_id(metadata, "tokenizer.ggml.eos_token_id", size);
  if (!end) return end.error();
  const auto adds_begin = metadata.flag("tokenizer.ggml.add_bos_token", false);
  if (!adds_begin) return adds_begin.error();

  const auto source = metadata.text("tokenizer.chat_template");
  if (!source) return source.error();
  templates::SpecialWords words;
  if (*begin) words.bos_token = tokens->bytes_of(**begin);
  if (*end) words.eos_token = tokens->bytes_of(**end);
  auto chat_template = templates::ChatTemplate::compile(*source, std::move(words));
  if (!chat_template) return chat_template.error();

  const auto architecture = metadata.text("general.architecture");
  if (!architecture) return architecture.error();
  const auto context = metadata.integer(std::string(*architecture) + ".context_length");
  if (!context) return context.error();

  return TextModel(std::make_unique<const Parts>(
      Parts{std::move(*tokens), std::move(*chat_template), std::move(*stops),
            *adds_begin ? *begin : std::nullopt, static_cast<int>(*context)}));
}

TextModel::TextModel(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
TextModel::TextModel(TextModel&&) noexcept = default;
TextModel& TextModel::operator=(TextModel&&) noexcept = default;
TextModel::~TextModel() = default;

Result<std::vector<TokenId>> TextModel::encode_chat(const std::vector<Message>& messages,
                                                    std::string_view begun) const {
  const auto text = parts_->chat_template.render(messages, std::chrono::system_clock::now());
  if (!text) return text.error();
  std::vector<TokenId> ids = parts_->tokenizer.encode(segments_of(*text));
  const std::vector<TokenId> more = parts_->tokenizer.encode(begun);
  ids.insert(ids.end(), more.begin(), more.end());
  return ids;
}

std::vector<TokenId> TextModel::encode(std::string_view text) const {
  std::vector<TokenId> ids = parts_->tokenizer.encode(text);
  if (parts_->begin_token) ids.insert(ids.begin(), *parts_->begin_token);
  return ids;
}

Detokenizer TextModel::make_detokenizer(SpecialTokens special) const {
  return Detokenizer(parts_->tokenizer, special);
}

int TextModel::vocabulary_size() const { return parts_->tokenizer.size(); }

const std::vector<TokenId>& TextModel::stop_tokens() const { return parts_->stop_tokens; }

int TextModel::context_length() const { return parts_->context_length; }

}  // namespace spillway::local
