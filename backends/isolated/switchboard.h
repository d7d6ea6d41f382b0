// The gateway's side of the engines in another process: their streams, and a picture of their state
// as exact as that of engines next door.
//
// Workers submit and look; the supervising thread alone connects it to a process, heeds what that
// says, and disconnects it. Nothing here waits for the process. Bridges hold it weakly: they may
// outlive it.
#pragma once

#include "backends/isolated/frames.h"
#include "backends/isolated/line.h"
#include "backends/isolated/mirror.h"
#include "backends/local/engine/engine_door.h"

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
  // See Mirror.
  explicit Switchboard(int kv_tokens_max, int replicas = 1) : mirror_(kv_tokens_max, replicas) {}

  // As EngineDoor's.
  Result<std::shared_ptr<Bridge>> submit(local::Ask ask, boost::asio::any_io_executor consumer);
  int context_max() const;
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

  struct Cached {
    std::vector<int> in_each;
    int worth = 0;
  };

  Cached look_up(std::string_view owner, std::span<const std::int32_t> prompt) const;
  local::WaitingPlace expected(const local::Ask& ask, std::span<const std::int32_t> prompt) const;
  std::shared_ptr<Bridge> find(StreamId id) const;
  std::shared_ptr<Bridge> take(StreamId id);
  void heed_consumer(StreamId id);
  bool is_ready() const { return mirror_.ready() && !closed_; }
  EngineStatus status_now() const;
  bool flush_now();
  void send_now(const Order& order);

  Result<void> on(Piece& word);
  Result<void> on(Done& word);
  Result<void> on(Failure& word);
  Result<void> on(Farewell& word);
  Result<void> on(auto& word);  // The mirror's.

  mutable std::mutex mutex_;  // Of all below.
  std::optional<RingWriter> orders_;
  std::deque<std::string> backlog_;  // Orders that found no room; no questions among them.
  std::unordered_map<StreamId, Stream> streams_;
  StreamId last_id_ = 0;
  bool closed_ = false;
  Mirror mirror_;
};

}  // namespace spillway::isolated
