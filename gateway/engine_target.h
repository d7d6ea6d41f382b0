// The local engine as the pipeline knows it, wherever it runs: in this process, or in one of its
// own that is started again when it dies.
//
// LocalTarget's calls: any worker thread. The rest: the owner's, but for what is said to be any.
#pragma once

#include "backends/isolated/isolated_backend.h"
#include "backends/local/local_backend.h"
#include "gateway/fleet/local_target.h"
#include "gateway/request/long_prompts.h"
#include "gateway/telemetry/log.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

// This program itself, as it compiles forms for an engine.
process::Program form_server();

class EngineTarget final : public LocalTarget {
 public:
  // In this process: blocks until the model is loaded. Else it is loaded meanwhile, and again
  // whenever the process has died, of which the log, which must outlive it, tells.
  // invalid_request names what is wrong with the target; backend_unavailable what is not there (a
  // GPU).
  static Result<std::unique_ptr<EngineTarget>> make(const config::LocalTarget& target,
                                                    telemetry::Log& log);

  Backend& backend() override { return *engine_; }
  Async<PromptTokens> prompt_tokens(std::shared_ptr<const ChatRequest> request,
                                    std::string tenant) override;
  int cached_tokens(const std::shared_ptr<const ChatRequest>& request,
                    std::string_view tenant) override;
  Result<std::string> detokenize(const std::vector<std::int32_t>& tokens) const override {
    return engine_->detokenize(tokens);
  }
  Async<std::vector<std::int32_t>> prompt(std::shared_ptr<const ChatRequest> request,
                                          std::string tenant) override;
  EngineStatus status() const override { return engine_->status(); }

  // Any thread.
  EngineCounters counters() const { return engine_->counters(); }
  std::uint64_t restarts() const { return supervisor_ ? supervisor_->restarts() : 0; }
  // Why it does not serve now; empty: it does.
  std::string obstacle() const;

  void stop(Deadline drain_until) {
    long_prompts_.stop();
    engine_->stop(drain_until);
  }

 private:
  EngineTarget(std::unique_ptr<local::LocalBackend> engine,
               std::shared_ptr<const isolated::Supervisor> supervisor)
      : engine_(std::move(engine)), supervisor_(std::move(supervisor)) {}

  Async<local::Prompts> encode(std::shared_ptr<const ChatRequest> request, std::string tenant);

  const std::unique_ptr<local::LocalBackend> engine_;
  const std::shared_ptr<const isolated::Supervisor> supervisor_;  // Null in this process.
  LongPrompts long_prompts_;
};

}  // namespace spillway
