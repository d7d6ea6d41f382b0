// What the engine asks of a model's text: the ids of a conversation, the text of ids, where it
// ends.
//
// A TextCodec is immutable, so any thread may call it; a TextStream belongs to one sequence and is
// used by one thread at a time. The codec must outlive its streams.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/error.h"
#include "backends/contract/sampling_defaults.h"
#include "backends/local/answer/answer_reader.h"
#include "backends/local/grammar/grammar.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::local {

// Ids of one answer back to text; every piece is valid UTF-8.
class TextStream {
 public:
  virtual ~TextStream() = default;

  // The text that this id completes; empty while a character is unfinished.
  virtual std::string push(std::int32_t id) = 0;

  // What is still held back when no more ids come.
  virtual std::string finish() = 0;
};

class TextCodec {
 public:
  virtual ~TextCodec() = default;

  // The exact prompt of the conversation, with the tools that may be called, if there are any, the
  // header of the answer and what it has said so far. invalid_request if the model's template
  // refuses it; context_too_long, without reading on, if it has more tokens than that.
  virtual Result<std::vector<std::int32_t>> encode(const std::vector<Message>& messages,
                                                   const Tools* tools, std::string_view begun,
                                                   int tokens_max) const = 0;

  // How the model is sampled where a request leaves that open.
  virtual SamplingDefaults sampling() const { return {}; }

  // How the model writes calls and thoughts, if it does.
  virtual answer::AnswerStyle style() const { return {}; }

  // Plain text, without a template; context_too_long likewise.
  virtual Result<std::vector<std::int32_t>> encode_text(std::string_view text,
                                                        int tokens_max) const = 0;

  // `shows_special`: special tokens are text like others.
  virtual std::unique_ptr<TextStream> open_stream(bool shows_special = false) const = 0;

  // The bytes that the token is written with, however special it is; none if there is no such one.
  virtual std::string spelling(std::int32_t id) const = 0;

  // Ids are below it.
  virtual int vocabulary_size() const = 0;

  // What each of its tokens says.
  virtual grammar::Vocabulary vocabulary() const = 0;

  // The ids with which the model ends an answer, sorted; they have no text.
  virtual const std::vector<std::int32_t>& end_ids() const = 0;
};

}  // namespace spillway::local
