// What a client reads back from POST /v1/chat/completions: server-sent events while tokens come, or
// one JSON object.
//
// Plain values on the request's coroutine; no I/O. Chunks are assembled by hand around a prefix
// that is made once, because one is written for each token. Texts must be UTF-8; a byte that is not
// becomes U+FFFD.
#pragma once

#include "backends/contract/chat.h"
#include "gateway/openai/remarks.h"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::openai {

// The same in every chunk of an answer.
struct ChatAnswerInfo {
  std::string id;              // chat_completion_id(request id)
  std::string model;           // What the client asked for.
  std::int64_t created = 0;    // Unix seconds.
  std::string service_tier;    // The tier that served it; left out of the answer if empty.
  bool include_usage = false;  // stream_options.include_usage
  int choices = 1;             // n
};

// "chatcmpl-" and the part of the request's id after its first '_'.
std::string chat_completion_id(std::string_view request_id);

// Writes a streamed answer; every string returned is one or more whole events ("data: {…}\n\n").
class ChatWriter {
 public:
  explicit ChatWriter(const ChatAnswerInfo& info);

  // The role chunk of each choice, with empty content: before any other.
  std::string first_chunks() const;

  // Text, reasoning, extra members and logprobs of a Delta; empty if it has none. Its `finish` and
  // `usage` are not written, and what the provider says beside them is kept for their chunks.
  std::string delta(const Delta& delta);

  // The finish chunk, one a choice.
  std::string finish(FinishReason reason, int choice = 0) const;

  // The usage chunk with `choices: []`; empty unless the client asked for it.
  std::string usage(const Usage& usage) const;

  // "data: [DONE]\n\n"
  static std::string_view done();

  // ": keep-alive\n\n", which all clients skip: for a proxy that would cut a quiet stream.
  static std::string_view keep_alive();

 private:
  std::string chunk(int choice, std::string_view delta_members, std::string_view finish_reason,
                    std::string_view logprobs, const Beside* beside) const;

  std::string prefix_;  // "data: {"id":…" up to and with `"choices":[{"index":`
  std::string suffix_;  // What closes a chunk after its choices.
  std::string head_;    // As prefix_, without the choices: for the usage chunk.
  bool include_usage_;
  int choices_;
  LastRemarks remarks_;
  std::set<int> call_functions_;  // The choices that do.
};

// Gathers a whole answer from its Deltas.
class ChatAnswer {
 public:
  void add(const Delta& delta);

  // The chat.completion object. A missing finish reason is written as "stop".
  std::string body(const ChatAnswerInfo& info) const;

 private:
  struct Choice {
    std::string text;
    std::string reasoning;
    std::vector<std::string> extras;    // Each a JSON object of message members; merged at the end.
    std::vector<std::string> logprobs;  // Each a JSON object of lists; joined at the end.
    FinishReason finish = FinishReason::stop;
    bool calls_function = false;
  };

  static void append_message(const Choice& choice, std::string& out);
  void append_choice(std::size_t index, std::string& out) const;

  std::vector<Choice> choices_{1};
  Usage usage_;
  AllRemarks remarks_;
};

}  // namespace spillway::openai
