#include "gateway/verbs/admin_options.h"

#include "config/load.h"
#include "config/load_admin.h"
#include "config/secret.h"
#include "config/value.h"
#include "gateway/verbs/print_problems.h"
#include "gateway/verbs/unset_keys.h"

#include <cstdio>
#include <utility>
#include <variant>

namespace spillway::verbs {
namespace {

constexpr const char* kNoSuchPath = "there is nothing at ";  // As http::Routes has it.

// What `source` names.
Given<std::string> read_key(const std::string& source, const std::string& verb) {
  const auto tell = [&verb](const char* mistake, int exit_status) {
    std::fprintf(stderr, "%s: the admin key: %s\n", verb.c_str(), mistake);
    return exit_status;
  };
  const auto parsed = config::parse_value(config::Kind::secret, source);
  if (std::get_if<config::Mistake>(&parsed))
    return tell("say where it stands, env:NAME or file:PATH, and not what it is", kMisused);
  config::FilesRead unwatched;
  auto secret = config::read_secret(source, config::process_environment(), unwatched);
  if (const auto* mistake = std::get_if<config::Mistake>(&secret))
    return tell(mistake->message.c_str(), kMisused);
  return std::get<std::string>(std::move(secret));
}

// As the file has it, though the rest of it be broken. False: told why not.
bool read_file(const std::string& path, const std::string& verb, config::AdminListener& listener) {
  if (const auto found = config::load_admin(path)) {
    listener = *found;
    return true;
  }
  UnsetKeys unset;
  print_problems(path, config::load_file(path, unset.environment()));
  std::fprintf(stderr,
               "%s: the file does not say where the gateway's admin listens: give --admin "
               "HOST:PORT and --admin-key SOURCE instead\n",
               verb.c_str());
  return false;
}

}  // namespace

void add_admin_options(Options& options) {
  options
      .value("--admin", "HOST:PORT",
             "where the running gateway's admin listens (default: of --config, or 127.0.0.1:9090)")
      .value("--admin-key", "SOURCE", "its key: env:NAME or file:PATH (default: of --config)")
      .value("--config", "FILE", "the running gateway's configuration");
}

Given<remote::AdminDoor> admin_door(const Options& options, const std::string& verb,
                                    const std::string& config) {
  remote::AdminDoor door;
  config::AdminListener listener{door.at, ""};
  const std::string path = options.has("--config") ? options.get("--config") : config;
  const bool all_said = options.has("--admin") && options.has("--admin-key");
  if (!path.empty() && !all_said && !read_file(path, verb, listener)) return kMisused;
  door.at = listener.at;
  const std::string source = options.get("--admin-key", listener.key_source);
  if (options.has("--admin")) {
    const auto parsed = config::parse_value(config::Kind::endpoint, options.get("--admin"));
    if (const auto* mistake = std::get_if<config::Mistake>(&parsed)) {
      std::fprintf(stderr, "%s: --admin: %s\n", verb.c_str(), mistake->message.c_str());
      return kMisused;
    }
    std::tie(door.at.host, door.at.port) = config::split_endpoint(options.get("--admin"));
  }
  if (source.empty()) return door;
  auto key = read_key(source, verb);
  if (!key) return key.exit_status();
  door.key = std::move(*key);
  return door;
}

int print_answer(const remote::AdminDoor& door, const remote::AdminAnswer& answer,
                 const std::string& verb) {
  const bool good = answer.status < 300;
  if (!good && answer.status == 401) {
    std::fprintf(stderr, "%s: this needs the admin key: %s\n", verb.c_str(),
                 door.key.empty() ? "give --admin-key SOURCE, or --config FILE"
                                  : "the one that was given is another");
  } else if (answer.status == 404 && answer.body.find(kNoSuchPath) != std::string::npos) {
    std::fprintf(stderr, "%s: what listens at %s:%d is no admin listener (server.admin)\n",
                 verb.c_str(), door.at.host.c_str(), door.at.port);
  } else {
    std::fputs(answer.body.c_str(), good ? stdout : stderr);
  }
  return good ? kDone : kFailed;
}

}  // namespace spillway::verbs
