// The file of the shadow policy: read when it is named, and again whenever its bytes change. What
// is wrong with it stands down the shadow and nothing else.
//
// `name` belongs to whoever changes the configuration, one at a time. Owns the watcher's thread.
#pragma once

#include "config/settings.h"
#include "config/watch.h"
#include "gateway/reload/shadow.h"
#include "gateway/telemetry/log.h"

#include <memory>
#include <string>

namespace spillway {

// Its path, beside the configuration; empty: there is none.
std::string shadow_path(const config::Settings& settings);

class ShadowFile {
 public:
  ShadowFile(Shadow& shadow, telemetry::Log& log)
      : shadow_(shadow), log_(log) {}  // Both outlive it.

  // The one that these settings name, if any.
  void name(const config::Settings& settings);

 private:
  void load();

  Shadow& shadow_;
  telemetry::Log& log_;
  // Both change while nobody watches, and on the watcher's thread.
  std::string path_;
  config::FilesRead files_;
  std::unique_ptr<config::FileWatcher> watcher_;  // Last: its thread loads.
};

}  // namespace spillway
