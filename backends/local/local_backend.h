// The local model as a Backend: prompts in, Deltas out, and an exact account of its queue.
//
// Any worker thread may call anything here; the model itself runs on the engine's own thread.
// A stream that is dropped leaves the batch at the next step. Owns the engine thread; `stop`
// (or destruction) ends it, after which every call answers backend_unavailable.
#pragma once

#include "backends/contract/backend.h"
#include "backends/contract/engine_counters.h"
#include "backends/contract/status.h"
#include "backends/local/local_model.h"
#include "backends/local/quantize/precision.h"
#include "config/settings.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::local {

class EngineDoor;
class PromptCache;

using Prompts = std::shared_ptr<const std::vector<std::vector<std::int32_t>>>;

class LocalBackend final : public Backend {
 public:
  LocalBackend(const config::LocalTarget& target, std::unique_ptr<TextCodec> codec,
               std::unique_ptr<Executor> executor, Calibrate calibrate = Calibrate::no);
  // The same with an engine that runs elsewhere, whose text `codec` is.
  LocalBackend(std::string name, std::unique_ptr<TextCodec> codec,
               std::unique_ptr<EngineDoor> engine);
  ~LocalBackend() override;

  const std::string& name() const override;

  // As Backend::open. The prompts are encoded here unless `encode` was called for this request
  // before. context_too_long: a prompt and the asked completion exceed the context. overloaded: the
  // waiting room is full. backend_unavailable: the engine has stopped or failed.
  Async<std::unique_ptr<TokenStream>> open(std::shared_ptr<const ChatRequest> request,
                                           Terms terms) override;

  // The exact prompt tokens of the request, kept for `open` as long as the request lives: of a
  // completion as many prompts as it has, else one.
  // invalid_request (not text, template refuses it), context_too_long. Takes about a millisecond
  // for 10 kB: of long prompts some that no worker should spend.
  Result<Prompts> encode(const std::shared_ptr<const ChatRequest>& request);

  // What of the prompts of `tenant` is in the engine's prefix cache now.
  int cached_tokens(std::string_view tenant, const Prompts& prompts) const;

  // What these tokens say; invalid_request if there is no such token.
  Result<std::string> detokenize(const std::vector<std::int32_t>& tokens) const;

  // The most completion tokens this request can get here: what was asked for, or what the context
  // leaves beside `prompt_tokens`.
  int completion_tokens_max(const ChatRequest& request, int prompt_tokens) const;

  EngineStatus status() const;  // Exact, including what was handed in a moment ago; microseconds.
  EngineCounters counters() const;  // Sums since the start.

  // Takes no more work, lets running and waiting sequences finish until `drain_until`, fails the
  // rest with backend_unavailable and joins the engine thread. Blocks; idempotent.
  void stop(Deadline drain_until);

 private:
  Result<void> check_prompt(const ChatRequest& request,
                            const std::vector<std::int32_t>& prompt) const;
  Result<Prompts> read_prompts(const ChatRequest& request) const;
  Result<std::vector<std::vector<std::int32_t>>> written_prompts_of(
      const ChatRequest& request) const;
  bool is_token(std::int32_t id) const;
  Result<void> check_tokens(const Sampling& sampling) const;
  bool ends_in_thought(const ChatRequest& request, const std::vector<std::int32_t>& prompt) const;

  const std::string name_;
  const std::unique_ptr<TextCodec> codec_;
  const std::unique_ptr<PromptCache> prompts_;
  const std::unique_ptr<EngineDoor> engine_;
};

// Of its weights: what `precision` says, or what its executor does best. `keeps_int4`: of its file,
// on its GPUs.
Precision precision_of(const config::LocalTarget& target, bool keeps_int4);

// What can be said of the target's model file without loading it: whether tensor_parallel GPUs can
// share it. invalid_request names the numbers that can. Requires: the file can be read.
Result<void> check_local_target(const config::LocalTarget& target);

// Loads the model and starts the engine thread, or those of all replicas; blocks for as long as
// that takes. `form_server`: as EngineLimits'. invalid_request names what is wrong with the target
// (file, executor, precision).
Result<std::unique_ptr<LocalBackend>> make_local_backend(
    const config::LocalTarget& target, std::optional<process::Program> form_server = {},
    OnReplicaFailure on_failure = {});

}  // namespace spillway::local
