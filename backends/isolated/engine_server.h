// The engine's end of a line: heeds what the gateway orders, by the engine that it loads when it is
// told to, or by several.
#pragma once

#include "backends/isolated/speaker.h"
#include "backends/isolated/supervisor.h"
#include "backends/local/engine/in_process_engine.h"
#include "backends/local/local_model.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace spillway::isolated {

class EngineServer {
 public:
  using Load = std::function<Result<local::LocalModel>(const config::LocalTarget& target)>;

  // The line must outlive it.
  // `form_server`: as local::EngineLimits'.
  EngineServer(const Line& line, Load load, std::optional<process::Program> form_server = {});
  ~EngineServer();

  // Until it is told to stop, no engine is left, the gateway is gone or says what it cannot.
  Exit run();

 private:
  struct Stream {
    std::shared_ptr<RingOutlet> outlet;
    std::function<void()> on_room;
  };

  std::optional<Exit> heed_orders();
  std::optional<Exit> heed(Hello& order);
  std::optional<Exit> heed(Question& order);
  std::optional<Exit> heed(Cancelled& order);
  std::optional<Exit> heed(Paused& order);
  std::optional<Exit> heed(Resumed& order);
  std::optional<Exit> heed(Nudge& order);
  std::optional<Exit> heed(Stop& order);
  void start(const config::LocalTarget& target, local::LocalModel model);
  template <class Change>
  std::optional<Exit> with(StreamId id, Change change);

  const Line& line_;
  const Load load_;
  const std::optional<process::Program> form_server_;
  RingReader orders_;
  std::string frame_;
  Speaker speaker_;
  RoomReporter room_reporter_;
  std::vector<std::unique_ptr<Reporter>> reporters_;
  std::optional<Roll> roll_;
  std::unique_ptr<local::TextCodec> codec_;
  std::unique_ptr<local::InProcessEngine> engine_;
  std::unordered_map<StreamId, Stream> streams_;
  std::thread stopping_;  // From when it is told to stop.
};

}  // namespace spillway::isolated
