// The gateway as its owner sees it; house.h is the composition root.
//
// All methods are for the owner's thread, except `reload`, which the file watcher and the admin
// listener call too.
#pragma once

#include "backends/contract/deadline.h"
#include "backends/contract/error.h"
#include "config/bounded_file.h"
#include "config/settings.h"

#include <functional>
#include <memory>
#include <string>

namespace spillway {

class House;

class Gateway {
 public:
  // Loads the model, binds the listeners and serves. `files`: those that the settings were read
  // from; they are read again when one changes. The error says what to change; nothing keeps
  // running then.
  static Result<std::unique_ptr<Gateway>> start(std::shared_ptr<const config::Settings> settings,
                                                config::FilesRead files);
  ~Gateway();  // Stops without draining, if `stop` has not run.

  std::uint16_t api_port() const;
  std::uint16_t admin_port() const;

  // Reads the configuration file again and takes it over, or leaves the one in force and returns
  // why.
  Result<void> reload();

  // Stop accepting, fail readiness, let running answers go on for `server.drain` or until `hurry`
  // says so, cancel the rest, stop cloud and engine, flush the log.
  void stop(const std::function<bool()>& hurry);

 private:
  explicit Gateway(std::unique_ptr<House> house);
  std::unique_ptr<House> house_;
};

}  // namespace spillway
