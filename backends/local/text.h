// The text side of a local model: chat messages to token ids, token ids to text, and which ids end
// an answer.
//
// Made once at start-up from the model file, which may be closed afterwards. Immutable: any thread
// may call any method at any time; HTTP workers encode, so that the engine's thread never does.
// Chat templates come with the model and are not trusted: rendering has limits on depth, steps and
// output, and what a message says can never become a control token, whatever it contains.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"
#include "backends/contract/sampling_defaults.h"
#include "backends/local/answer/answer_reader.h"
#include "backends/local/tokenizer/detokenizer.h"
#include "backends/local/tokenizer/tokenizer.h"

#include <limits>
#include <memory>
#include <string_view>
#include <vector>

namespace spillway::loader {
class ModelFile;
}

namespace spillway::local {

using tokenizer::Detokenizer;
using tokenizer::SpecialTokens;
using tokenizer::TokenId;

class TextModel {
 public:
  static constexpr int kAnyNumber = std::numeric_limits<int>::max();

  // Reads tokenizer and chat template; errors say which key or file is missing or not understood.
  static Result<TextModel> from_file(const loader::ModelFile& file);

  TextModel(TextModel&&) noexcept;
  TextModel& operator=(TextModel&&) noexcept;
  ~TextModel();

  // The prompt for the assistant's next turn, which may call `tools`, if there are any, and may
  // have `begun`: that is text, whatever it contains. Errors: invalid_request with the template's
  // own words where it refuses the conversation (roles out of order, say) or a limit is met;
  // context_too_long, without reading on, if it has more tokens than that.
  Result<std::vector<TokenId>> encode_chat(const std::vector<Message>& messages,
                                           const Tools* tools = nullptr,
                                           std::string_view begun = {},
                                           int tokens_max = kAnyNumber) const;

  // How its makers would have it sampled.
  const SamplingDefaults& sampling() const;

  // How the model answers, as far as its chat template lets see.
  const answer::AnswerStyle& style() const;

  // Plain text without a template, after the model's begin token if it has one; special tokens in
  // it are text. context_too_long likewise.
  Result<std::vector<TokenId>> encode(std::string_view text, int tokens_max = kAnyNumber) const;

  // One a stream; the TextModel must outlive it.
  Detokenizer make_detokenizer(SpecialTokens special = SpecialTokens::skip) const;

  int vocabulary_size() const;

  // The bytes that a token stands for; none if it is special, and no mark of a call or a thought.
  // Requires: 0 <= id <
  // vocabulary_size().
  std::string_view bytes_of(TokenId id) const;

  // The same of any token: a special one as its file has it; none of a row that has no word.
  std::string_view spelling(TokenId id) const;

  // Ids that end an answer (end of text, of turn, of message); sorted, never empty.
  const std::vector<TokenId>& stop_tokens() const;

  // Tokens the model was trained to see at most.
  int context_length() const;

 private:
  struct Parts;
  explicit TextModel(std::unique_ptr<const Parts> parts);

  std::unique_ptr<const Parts> parts_;
};

}  // namespace spillway::local
