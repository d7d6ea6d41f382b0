#include "gateway/verbs/admin_options.h"

#include "config/load.h"
#include "config/secret.h"
#include "config/value.h"
#include "gateway/verbs/print_problems.h"
#include "gateway/verbs/unset_keys.h"

#include <cstdio>
#include <utility>
#include <variant>

namespace spillway::verbs {
namespace {

// Reads what `source` names; prints what is wrong with it.
bool read_key(const std::string& source, const std::string& verb, std::string& key) {
  const auto parsed = config::parse_value(config::Kind::secret, source);
  const auto* mistake = std::get_if<config::Mistake>(&parsed);
  auto secret = mistake ? std::variant<std::string, config::Mistake>(*mistake)
                        : config::read_secret(source, config::process_environment());
  mistake = std::get_if<config::Mistake>(&secret);
  if (mistake) {
    std::fprintf(stderr, "%s: the admin key: %s\n", verb.c_str(), mistake->message.c_str());
    return false;
  }
  key = std::get<std::string>(std::move(secret));
  return true;
}

}  // namespace

void add_admin_options(Options& options) {
  options
      .value("--admin", "HOST:PORT",
             "where the running gateway's admin listens (default: of --config, or 127.0.0.1:9090)")
      .value("--admin-key", "SOURCE", "its key: env:NAME or file:PATH (default: of --config)")
      .value("--config", "FILE", "the running gateway's configuration");
}

std::optional<remote::AdminDoor> admin_door(const Options& options, const std::string& verb,
                                            const std::string& config) {
  remote::AdminDoor door;
  std::string source = options.get("--admin-key");
  const std::string path = options.has("--config") ? options.get("--config") : config;
  if (!path.empty()) {
    UnsetKeys unset;  // Only where it listens, and with which key, is wanted.
    const auto loaded = config::load_file(path, unset.environment());
    if (!loaded.settings) {
      print_problems(path, loaded);
      return std::nullopt;
    }
    door.at = loaded.settings->server.admin;
    if (source.empty()) source = loaded.settings->server.admin_key_source;
  }
  if (options.has("--admin")) {
    const auto parsed = config::parse_value(config::Kind::endpoint, options.get("--admin"));
    if (const auto* mistake = std::get_if<config::Mistake>(&parsed)) {
      std::fprintf(stderr, "%s: --admin: %s\n", verb.c_str(), mistake->message.c_str());
      return std::nullopt;
    }
    std::tie(door.at.host, door.at.port) = config::split_endpoint(options.get("--admin"));
  }
  if (!source.empty() && !read_key(source, verb, door.key)) return std::nullopt;
  return door;
}

}  // namespace spillway::verbs
