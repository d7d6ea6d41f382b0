#include "backends/local/text.h"

#include "backends/local/answer/tool_prompt.h"
#include "backends/local/loader/model_file.h"
#include "backends/local/template/chat_template.h"
#include "backends/local/text_parts_internal.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace spillway::local {
namespace {

constexpr std::int64_t kContextMax = 1 << 24;

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

Error too_long(int tokens_max) {
  return {Errc::context_too_long,
          "the prompt has more than " + std::to_string(tokens_max) + " tokens", "", std::nullopt};
}

answer::AnswerStyle style_of(const std::string& chat_template, const std::string& for_tools) {
  const answer::CallSyntax* calls = for_tools.empty() ? nullptr : answer::syntax_of(for_tools);
  return {calls ? calls : answer::syntax_of(chat_template), answer::thinks(chat_template)};
}

std::vector<TokenId> shown_tokens(const tokenizer::Tokenizer& tokenizer,
                                  const answer::AnswerStyle& style) {
  std::vector<TokenId> shown;
  for (TokenId id = 0; id < tokenizer.size(); ++id) {
    if (tokenizer.is_special(id) && answer::is_mark(style, tokenizer.bytes_of(id)))
      shown.push_back(id);
  }
  return shown;
}

templates::EarlierCalls earlier_calls(const std::string& chat_template) {
  const answer::CallSyntax* syntax = answer::syntax_of(chat_template);
  if (syntax == nullptr) return {};
  return {syntax->text_arguments, syntax->no_content, syntax->short_ids};
}

}  // namespace

struct TextModel::Parts {
  tokenizer::Tokenizer tokenizer;
  templates::ChatTemplate chat_template;
  std::optional<templates::ChatTemplate> tool_template;  // Nothing: the same.
  bool tells_tools = false;                              // The template does, to the model.
  answer::AnswerStyle style;
  std::vector<TokenId> shown;  // Special tokens that say something; sorted.
  std::vector<TokenId> stop_tokens;
  std::optional<TokenId> begin_token;  // Put before plain text.
  SamplingDefaults sampling;
  int context_length = 0;
  int vocabulary = 0;  // Tokens that the model has an embedding of.
};

Result<TextModel> TextModel::from_file(const loader::ModelFile& file) {
  const loader::Metadata& metadata = file.metadata();
  auto parts = file.folder().empty() ? text_of_metadata(metadata) : text_of_folder(file.folder());
  if (!parts) return parts.error();
  const bool tells_tools =
      !parts->tool_template.empty() || parts->chat_template.find("tools") != std::string::npos;
  const auto style = style_of(parts->chat_template, parts->tool_template);
  auto shown = shown_tokens(parts->tokenizer, style);
  const auto compiled = [&](const std::string& text) {
    return templates::ChatTemplate::compile(text, parts->words, earlier_calls(text));
  };
  auto chat_template = compiled(parts->chat_template);
  if (!chat_template) return chat_template.error();
  std::optional<templates::ChatTemplate> tool_template;
  if (!parts->tool_template.empty()) {
    auto other = compiled(parts->tool_template);
    if (!other) return other.error();
    tool_template = std::move(*other);
  }
  std::vector<TokenId> stops = std::move(parts->stop_tokens);
  std::ranges::sort(stops);
  const auto doubled = std::ranges::unique(stops);
  stops.erase(doubled.begin(), doubled.end());

  // Some files name more words than their model has rows for.
  int vocabulary = parts->tokenizer.size();
  if (const loader::Tensor* rows = file.find("token_embd.weight"))
    vocabulary = static_cast<int>(std::min<std::int64_t>(vocabulary, rows->rows()));
  std::erase_if(stops, [vocabulary](TokenId id) { return id < 0 || id >= vocabulary; });
  if (parts->begin_token && *parts->begin_token >= vocabulary)
    return Error{Errc::internal, "the token that texts begin with has no row in token_embd.weight"};

  const auto architecture = metadata.text("general.architecture");
  if (!architecture) return architecture.error();
  const auto context = metadata.integer(std::string(*architecture) + ".context_length");
  if (!context) return context.error();

  return TextModel(std::make_unique<const Parts>(Parts{
      std::move(parts->tokenizer), std::move(*chat_template), std::move(tool_template), tells_tools,
      style, std::move(shown), std::move(stops), parts->begin_token, parts->sampling,
      static_cast<int>(std::clamp<std::int64_t>(*context, 1, kContextMax)), vocabulary}));
}

TextModel::TextModel(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
TextModel::TextModel(TextModel&&) noexcept = default;
TextModel& TextModel::operator=(TextModel&&) noexcept = default;
TextModel::~TextModel() = default;

Result<std::vector<TokenId>> TextModel::encode_chat(const std::vector<Message>& messages,
                                                    const Tools* tools, std::string_view begun,
                                                    int tokens_max) const {
  const bool is_other = tools != nullptr && parts_->tool_template;
  const auto& chat_template = is_other ? *parts_->tool_template : parts_->chat_template;
  const bool is_untold = tools != nullptr && !parts_->tells_tools && parts_->style.calls != nullptr;
  std::vector<Message> told;
  if (is_untold) told = answer::with_tools(messages, *tools, *parts_->style.calls);
  const auto text =
      chat_template.render(is_untold ? told : messages, tools, std::chrono::system_clock::now());
  if (!text) return text.error();
  const auto most = static_cast<std::size_t>(tokens_max);
  auto ids = parts_->tokenizer.encode_at_most(most, segments_of(*text));
  if (!ids) return too_long(tokens_max);
  const tokenizer::Segment answer{begun, false};
  const auto more = parts_->tokenizer.encode_at_most(most - ids->size(), {&answer, 1});
  if (!more) return too_long(tokens_max);
  ids->insert(ids->end(), more->begin(), more->end());
  return std::move(*ids);
}

Result<std::vector<TokenId>> TextModel::encode(std::string_view text, int tokens_max) const {
  const tokenizer::Segment plain{text, false};
  auto ids = parts_->tokenizer.encode_at_most(static_cast<std::size_t>(tokens_max), {&plain, 1});
  if (!ids) return too_long(tokens_max);
  if (parts_->begin_token) ids->insert(ids->begin(), *parts_->begin_token);
  return std::move(*ids);
}

Detokenizer TextModel::make_detokenizer(SpecialTokens special) const {
  return Detokenizer(parts_->tokenizer, special, parts_->shown);
}

int TextModel::vocabulary_size() const { return parts_->vocabulary; }

std::string_view TextModel::bytes_of(TokenId id) const {
  const bool says_nothing =
      parts_->tokenizer.is_special(id) && !std::ranges::binary_search(parts_->shown, id);
  return says_nothing ? std::string_view() : parts_->tokenizer.bytes_of(id);
}

std::string_view TextModel::spelling(TokenId id) const {
  const bool is_word = id >= 0 && id < parts_->tokenizer.size();
  return is_word ? parts_->tokenizer.bytes_of(id) : std::string_view();
}

const SamplingDefaults& TextModel::sampling() const { return parts_->sampling; }

const answer::AnswerStyle& TextModel::style() const { return parts_->style; }

const std::vector<TokenId>& TextModel::stop_tokens() const { return parts_->stop_tokens; }

int TextModel::context_length() const { return parts_->context_length; }

}  // namespace spillway::local
