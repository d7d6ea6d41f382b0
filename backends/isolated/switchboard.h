// The gateway's side of an engine in another process: its streams, and a picture of its state as
// exact as that of an engine next door.
//
// Workers submit and look; the supervising thread alone connects it to a process, heeds what that
// says, and disconnects it. Nothing here waits for the process. Bridges hold it weakly: they may
// outlive it.
#pragma once

#include "backends/isolated/frames.h"
#include "backends/isolated/line.h"
#include "backends/local/engine/engine_door.h"
#include "backends/local/kv/prefix_tree.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

namespace spillway::isolated {

class Switchboard : public std::enable_shared_from_this<Switchboard> {
 public:
  // `kv_tokens_max`: no engine may claim more.
  explicit Switchboard(int kv_tokens_max) : kv_tokens_max_(kv_tokens_max) {}

  // As EngineDoor's.
  Result<std::shared_ptr<Bridge>> submit(local::Ask ask, boost::asio::any_io_executor consumer);
  int context_max() const;  // Before a first engine has said it: more than anybody asks for.
  int cached_tokens(std::string_view owner, std::span<const std::int32_t> prompt) const;
  EngineStatus status() const;
  EngineCounters counters() const;

  // A process has been started, and told what to load. Requires: `line` outlives the connection.
  void connect(const Line& line, const std::string& settings);
  // An error: no engine says so.
  Result<void> heed(Word word);
  // It has ended: every stream fails with `why`.
  void disconnect(const Error& why);

  bool has_work() const;  // Streams are open.
  void send(const Order& order);
  // Takes no more questions.
  void close(Deadline drain_until);
  // Sends what had no room before; false if there still is none.
  bool flush();

 private:
  struct Stream {
    std::shared_ptr<Bridge> bridge;
    bool paused = false;  // Told to be.
  };

  std::shared_ptr<Bridge> find(StreamId id) const;
  std::shared_ptr<Bridge> take(StreamId id);
  void heed_consumer(StreamId id);
  EngineStatus status_now() const;
  bool flush_now();
  void send_now(const Order& order);

  Result<void> on(Loaded& word);
  Result<void> on(Piece& word);
  Result<void> on(Done& word);
  Result<void> on(Failure& word);
  Result<void> on(Picture& word);
  Result<void> on(PrefixInserted& word);
  Result<void> on(PrefixErased& word);
  Result<void> on(Farewell& word);

  const int kv_tokens_max_;
  mutable std::mutex mutex_;  // Of all below.
  std::optional<RingWriter> orders_;
  std::deque<std::string> backlog_;  // Orders that found no room; no questions among them.
  std::unordered_map<StreamId, Stream> streams_;
  StreamId last_id_ = 0;
  bool loaded_ = false;
  bool closed_ = false;
  int context_max_ = 0;
  EngineStatus status_;  // As the engine last told it.
  std::optional<TimePoint> step_began_;
  EngineCounters counters_;
  // Questions that are not in that picture yet, and which is the first of them.
  std::deque<SequenceStatus> unseen_;
  std::uint64_t seen_ = 0;
  std::shared_ptr<local::PrefixTree> prefixes_;  // The engine's, insertion for insertion.
};

}  // namespace spillway::isolated
