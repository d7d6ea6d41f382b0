// How clients of one protocol are understood and answered: the seam between the pipeline, which
// knows requests and targets, and the rooms that know OpenAI's, Anthropic's or another's words.
//
// A Protocol has no state of its own and serves all workers. What it makes of one request, Asked,
// belongs to that request's coroutine. Everything but `parse` and `keep` is pure: pieces in, bytes
// out; those two may wait, for what a protocol keeps of earlier answers.
#pragma once

#include "backends/contract/backend.h"
#include "backends/contract/chat.h"
#include "gateway/wire/errors.h"
#include "gateway/wire/reading_room.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::wire {

// What a client sent, and who it is.
struct Call {
  std::string request_id;    // Ours: "req_" and 24 hexadecimal digits.
  std::string tenant;        // Whose stored objects it may name.
  std::int64_t created = 0;  // Unix seconds; the same in all of the answer.
  std::string body;
  // Of its protocol, as the client names them.
  std::string version = {};
  std::vector<std::string> betas = {};
  ReadingRoom* room = nullptr;  // For what is large of it and of what it goes on from.
};

// What is known when the answer begins.
struct Opening {
  std::string service_tier;  // The tier that serves; empty: not to be told.
  int prompt_tokens = 0;     // As counted here.
  std::string left_out;      // The fields that the target is not told, for the client.
};

// What is known when it is whole.
struct Ending {
  std::vector<FinishReason> finishes;  // By choice; never empty.
  Usage usage;
  std::string left_out;  // As an Opening's, where another target has taken over since.
};

// Says one answer: as events, or as one body.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;

  // The first events of a stream; nothing for a whole answer.
  virtual std::string begin(const Opening& opening) = 0;

  // The events of one piece; nothing while a whole answer is gathered. Its `finish` and `usage` are
  // not told here.
  virtual std::string piece(const Delta& delta) = 0;

  // Before `end`: stores what is to be found again. False if it could not be, which `end` then
  // says; fails only where the answer is of no use without.
  virtual Async<bool> keep(const Ending&) { co_return true; }

  // The last events, or the whole body.
  virtual std::string end(const Ending& ending) = 0;

  // A failure after the stream has begun: its last event. Never looks like a whole answer.
  virtual std::string failed(const Error& error) = 0;

  // Whole answers only: what came so far is forgotten, another target answers from the beginning.
  virtual void afresh() = 0;
};

struct Asked {
  std::shared_ptr<const ChatRequest> chat;
  std::unique_ptr<AnswerWriter> writer;
};

class Protocol {
 public:
  virtual ~Protocol() = default;

  // Fails with invalid_request, naming the field in `param`.
  virtual Async<Asked> parse(Call call) const = 0;

  // A failure before anything was sent.
  virtual ErrorReply error(const Error& error, std::string_view request_id) const = 0;
};

}  // namespace spillway::wire
