// An answer's pieces as Anthropic's content blocks, one after the other: thinking, text, tool_use.
//
// Of one request's coroutine; no I/O. A new kind of piece, or a new call, ends the block before it.
#pragma once

#include "backends/contract/chat.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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
  // `answer_id` makes the ids of calls that come without one.
  Blocks(BlockSink& sink, std::string answer_id) : sink_(sink), answer_id_(std::move(answer_id)) {}

  void add(const Delta& delta);

  // No more comes.
  void end();

  // A block of this kind is open already: somebody else began it.
  void resume(BlockKind kind) { open_ = kind; }

 private:
  void add(BlockKind kind, std::string_view piece);
  void add_extra(const std::string& extra);
  void add_call(const nlohmann::json& piece);
  void open(BlockKind kind, std::string_view id, std::string_view name);

  BlockSink& sink_;
  const std::string answer_id_;
  std::optional<BlockKind> open_;
  std::int64_t call_ = -1;  // The index of the call that is open, as the target counts.
  int calls_ = 0;
};

}  // namespace spillway::anthropic
