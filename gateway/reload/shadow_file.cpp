#include "gateway/reload/shadow_file.h"

#include "gateway/reload/policy_file.h"

#include <filesystem>
#include <utility>

namespace spillway {
namespace {

using telemetry::Level;

}  // namespace

std::string shadow_path(const config::Settings& settings) {
  if (settings.shadow.policy.empty()) return "";
  const auto folder = std::filesystem::path(settings.source).parent_path();
  return (folder / settings.shadow.policy).string();
}

void ShadowFile::name(const config::Settings& settings) {
  std::string path = shadow_path(settings);
  if (path == path_) return;
  watcher_ = nullptr;
  path_ = std::move(path);
  if (path_.empty()) return shadow_.stand_down("", "");
  load();
  watcher_ = std::make_unique<config::FileWatcher>([this] { return files_; }, [this] { load(); });
}

void ShadowFile::load() {
  const config::Loaded loaded = load_policy(path_, unneeded_secret);
  files_ = loaded.files;
  if (loaded.settings) {
    shadow_.follow(path_, loaded.settings);
    log_.event(Level::info, "a shadow policy decides beside the one in force",
               {{"policy", path_}, {"sha256", loaded.settings->sha256}});
    return;
  }
  const std::string problem = config::to_string(loaded.problems.front());
  shadow_.stand_down(path_, problem);
  log_.event(Level::error, "the shadow policy does not decide",
             {{"policy", path_}, {"problem", problem}});
}

}  // namespace spillway
