// An answer's pieces as Anthropic's content blocks, one after the other: thinking, text, tool_use.
//
// Of one request's coroutine; no I/O. One block is open at a time. What comes while a call is not
// whole and does not belong to it, such as the pieces of a call beside it, waits for its turn: the
// next block begins once the call is whole, too much waits, or no more comes. What comes for a call
// after its block is dropped.
#pragma once

#include "backends/contract/chat.h"
#include "gateway/anthropic/arguments.h"
#include "gateway/wire/named_calls.h"

#include <nlohmann/json_fwd.hpp>

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::anthropic {

enum class BlockKind { text, thinking, tool_use };

// What becomes of the blocks: events, or a whole body's content.
class BlockSink {
 public:
  virtual ~BlockSink() = default;

  // `id` and `name` are of a tool_use.
  virtual void open(BlockKind kind, std::string_view id, std::string_view name) = 0;
  virtual void grow(BlockKind kind, std::string_view piece) = 0;
  virtual void close(BlockKind kind) = 0;
};

class Blocks {
 public:
  static constexpr std::size_t kWaitingBytesMax = 4 << 20;
  static constexpr std::size_t kWaitingMax = 256;
  static constexpr std::int64_t kCallsMax = 128;  // As a chat completion has at most.

  // `answer_id` makes the ids of calls that come without one.
  Blocks(BlockSink& sink, std::string answer_id) : sink_(sink), answer_id_(std::move(answer_id)) {}

  void add(const Delta& delta);

  // No more comes.
  void end();

  // What came is forgotten, and what is open with it: another answer begins.
  void afresh();

  // A block of this kind is open already: somebody else began it.
  void resume(BlockKind kind) { open_ = Block{.kind = kind}; }

  // Whether there is a call among them.
  bool called() const { return begun_.any(); }

 private:
  struct Block {
    BlockKind kind = BlockKind::text;
    std::int64_t call = 0;  // Its index, as the target counts.
    std::string id, name;
    std::string waiting;  // What came before its turn.
  };

  void add(BlockKind kind, std::string_view piece);
  void add_extra(const std::string& extra);
  void add_call(const nlohmann::ordered_json& piece);
  void add_calls(const std::vector<nlohmann::ordered_json>& pieces);
  void take(Block block, std::string_view piece);
  void begin(Block block);
  void grow(std::string_view piece);
  void wait(Block block, std::string_view piece);
  void begin_next();
  void begin_whose_turn_it_is();
  Block* waiting_call(std::int64_t call);
  bool is_open(BlockKind kind, std::int64_t call) const;
  bool call_goes_on() const;

  BlockSink& sink_;
  const std::string answer_id_;
  wire::NamedCalls calls_;
  std::optional<Block> open_;
  Arguments arguments_;        // Of the call that is open.
  std::deque<Block> waiting_;  // Empty unless a call goes on.
  std::size_t waiting_bytes_ = 0;
  std::bitset<kCallsMax> begun_;  // By the call's index.
  std::int64_t next_call_ = 0;    // The index of one that comes without.
};

}  // namespace spillway::anthropic
