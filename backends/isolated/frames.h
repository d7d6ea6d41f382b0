// What gateway and engine say to each other when they are two processes, and how it is written.
//
// Both are the same program, so that there are no versions: a frame is a type and its fields in
// order. Reading checks everything all the same, as the other side may be out of its mind: lengths
// against what is there, enumerators against their last, and that nothing is left over.
#pragma once

#include "backends/contract/chat.h"
#include "backends/contract/deadline.h"
#include "backends/contract/engine_counters.h"
#include "backends/contract/error.h"
#include "backends/contract/form.h"
#include "backends/contract/status.h"
#include "backends/local/engine/shared_queue.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace spillway::isolated {

using StreamId = std::uint64_t;

// To the engine.
struct Hello {
  std::string settings;  // YAML, of which the local target counts.
};
struct Question {
  StreamId id = 0;
  std::vector<std::vector<std::int32_t>> prompts;
  Sampling sampling;
  int tokens_max = 0;
  Lane lane = Lane::foreground;
  std::string owner;
  std::optional<Form> form;
  std::string begun;
  int choices = 1;
};
struct Cancelled {
  StreamId id = 0;
};
struct Paused {  // Its client does not read.
  StreamId id = 0;
};
struct Resumed {
  StreamId id = 0;
};
struct Nudge {};  // A picture is wanted, as a sign of life.
struct Stop {
  Deadline drain_until;
};
using Order = std::variant<Hello, Question, Cancelled, Paused, Resumed, Nudge, Stop>;

// To the gateway. An engine is known by its number, from 0 on.
using Replica = std::uint32_t;

struct Loaded {
  std::vector<EngineStatus> engines;
};
struct Piece {
  StreamId id = 0;
  Delta delta;
};
struct Done {
  StreamId id = 0;
};
struct Failure {
  StreamId id = 0;
  Error error;
};
struct Picture {
  Replica replica = 0;
  EngineStatus status;
  std::optional<TimePoint> step_began;  // The steady clock is one for all processes of a host.
  EngineCounters counters;
};
struct PrefixInserted {
  Replica replica = 0;
  std::string owner;
  std::uint64_t parent = 0;
  std::vector<std::int32_t> tokens;
  std::int32_t block = 0;
};
struct PrefixErased {
  Replica replica = 0;
  std::int32_t block = 0;
};
// Of several engines.
struct ReplicaFailed {
  Replica replica = 0;
  std::string why;
};
// Of the room that they share; see RoomObserver.
struct Came {
  local::WaitingPlace place;
};
struct Refused {
  std::uint32_t sequences = 0;
};
struct Left {
  std::uint64_t place = 0;
};
struct Taken {
  std::uint64_t place = 0;
  Replica replica = 0;
};
struct Farewell {
  std::string why;
};
using Word = std::variant<Loaded, Piece, Done, Failure, Picture, PrefixInserted, PrefixErased,
                          ReplicaFailed, Came, Refused, Left, Taken, Farewell>;

// The frame, in place of what `bytes` held.
void encode(const Order& order, std::string& bytes);
void encode(const Word& word, std::string& bytes);

Result<Order> decode_order(std::string_view bytes);
Result<Word> decode_word(std::string_view bytes);

}  // namespace spillway::isolated
