// `spillway provider`: a simulated provider over real HTTP, in OpenAI's and Anthropic's dialects.
//
//   POST /v1/chat/completions   whole and streamed, at the profile's pace, with the script's faults
//   POST /v1/messages           the same in Anthropic's words
//   /v1/files, /v1/batches      OpenAI's batches API, as the script says
//   GET  /v1/models[/{id}]      every model name is served; the list has the profile's
//   GET  /stats                 ProviderStats as JSON
//   POST /script                replaces the script: {"slow":1,"dead":false,"faults":[{"kind":
//                               "error","share":0.18,"after_seconds":0.2,"status":503}],
//                               "batches":{"seconds":5,"answered":0.9,"ends_as":"expired"}}
// The key, if there is one, is asked for under /v1 only. Tests run a Provider inside their process;
// its methods are for the owner's thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/simulated/performance.h"
#include "config/settings.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::provider {

// Which of all performances a request gets: the same draw gives the same (simulated::perform).
struct Draw {
  std::uint64_t seed = 0;
  std::uint64_t number = 0;
};

struct ProviderOptions {
  std::string profile = "instant";
  std::optional<simulated::Profile> own_profile;  // In place of the one of that name.
  config::Endpoint listen{"127.0.0.1", 0};
  simulated::Script script;
  std::uint64_t seed = 1;
  std::string key;            // Empty: every caller is served.
  bool prefix_cache = false;  // Chat completions bill what was read before as cached.
  int workers = 1;
  // By what is asked, on any worker; empty: `seed`, and how many have asked before.
  std::function<Draw(std::string_view prompt)> draw_of;
};

struct ProviderStats {
  std::uint64_t requests = 0;      // Answers asked for.
  std::uint64_t answered = 0;      // To the end, without a fault.
  std::uint64_t failures = 0;      // Faults injected.
  std::uint64_t rate_limited = 0;  // Refused by the profile's limits.
  std::uint64_t unauthorized = 0;  // Wrong or missing key.
  std::uint64_t disconnects = 0;   // Clients that left before their answer ended.
  std::int64_t open_streams = 0;   // Answers under way, whole ones too.
  std::uint64_t prompt_tokens = 0;
  std::uint64_t cached_tokens = 0;  // Of these.
  std::uint64_t completion_tokens = 0;
  std::uint64_t batches = 0;      // Made.
  std::uint64_t batch_lines = 0;  // Of these, answered: their tokens are apart.
  std::uint64_t batch_prompt_tokens = 0;
  std::uint64_t batch_completion_tokens = 0;
};

class Provider {
 public:
  // Throws std::invalid_argument if there is no such profile.
  explicit Provider(ProviderOptions options);
  ~Provider();  // stop()
  Provider(const Provider&) = delete;
  Provider& operator=(const Provider&) = delete;

  // Listens, unless the script says dead: then nothing does.
  Result<void> start();
  std::uint16_t port() const;
  void stop();

  void set_script(simulated::Script script);
  ProviderStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Reads a script as POST /script takes it; invalid_request says what is wrong with it.
Result<simulated::Script> parse_script(std::string_view json);

// Serves until SIGINT or SIGTERM; the program's exit status.
int run_provider(const ProviderOptions& options);

}  // namespace spillway::provider
