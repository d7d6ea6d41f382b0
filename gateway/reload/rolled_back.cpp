#include "gateway/reload/rolled_back.h"

#include "config/bounded_file.h"
#include "config/digest.h"
#include "gateway/reload/policy_file.h"
#include "gateway/reload/revocation.h"
#include "gateway/store/disk_file.h"

#include <filesystem>
#include <system_error>
#include <utility>
#include <variant>

namespace spillway {
namespace {

// The digest of the file that was rolled back, a line's end, and the text in force.
constexpr const char* kName = "rolled-back";
constexpr std::size_t kBytesMax = 2 << 20;

std::optional<std::string> read(const std::string& path) {
  auto bytes = config::read_bounded(path, kBytesMax);
  if (auto* text = std::get_if<std::string>(&bytes)) return std::move(*text);
  return std::nullopt;
}

// What was in force when that file was rolled back.
std::optional<std::string> text_kept(const std::string& directory, const std::string& sha256) {
  const auto kept = read(directory + "/" + kName);
  if (!kept || !kept->starts_with(sha256 + "\n")) return std::nullopt;
  return kept->substr(sha256.size() + 1);
}

}  // namespace

void RolledBack::in_force(const std::string& path, const std::string& sha256) {
  auto text = directory_ ? text_kept(directory_->path(), sha256) : std::nullopt;
  if (text && !tried_) {
    tried_ = load_policy(path).settings;
  } else if (!text) {
    text = read(path);
    if (text && config::sha256_hex(*text) != sha256) text.reset();
  }
  text_in_force_ = text.value_or("");
}

Result<void> RolledBack::keep(std::shared_ptr<const config::Settings> tried,
                              const std::string& sha256, const std::string& in_its_place) {
  tried_ = std::move(tried);
  if (!directory_ || directory_->temporary() || in_its_place.empty()) return {};
  const std::string path = directory_->file(kName);
  auto file = store::DiskFile::create(path + ".new");
  if (!file) return file.error();
  auto done = file->write(sha256 + "\n" + in_its_place);
  if (done) done = file->sync();
  return done ? store::rename_durably(path + ".new", path) : done;
}

void RolledBack::forget() {
  tried_ = nullptr;
  std::error_code ignored;
  if (directory_) std::filesystem::remove(directory_->file(kName), ignored);
}

config::Loaded in_place_of(const config::Loaded& file, const config::Environment& environment) {
  const config::Settings& settings = *file.settings;
  const auto noted = file.files.find(settings.source);
  if (settings.server.state.empty() || noted == file.files.end()) return {};
  const auto text = text_kept(settings.server.state, noted->second);
  if (!text) return {};
  config::Loaded loaded = load_policy_text(*text, settings.source, environment);
  if (!loaded.settings) return loaded;
  if (auto less = with_less(*loaded.settings, settings.keys)) loaded.settings = std::move(less);
  return loaded;
}

}  // namespace spillway
