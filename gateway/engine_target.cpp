#include "gateway/engine_target.h"

#include "gateway/request/measure.h"

#include <algorithm>
#include <utility>

namespace spillway {
namespace {

using telemetry::Level;

// This program itself; verbs/engine_child.cpp.
process::Program engine_program() { return {"/proc/self/exe", {"engine-child"}}; }

void tell_failure(telemetry::Log& log, std::size_t replica, const std::string& cause) {
  log.event(Level::error, "a replica of the local engine failed",
            {{"replica", static_cast<std::int64_t>(replica)}, {"cause", cause}});
}

void tell(telemetry::Log& log, const isolated::Notice& notice) {
  const auto seconds = static_cast<double>(notice.time.count()) / 1e3;
  const std::int64_t pid = notice.pid;
  switch (notice.what) {
    case isolated::Notice::What::starts:
      return log.event(Level::info, "the local engine's process starts", {{"pid", pid}});
    case isolated::Notice::What::serves:
      return log.event(Level::info, "the local engine's process serves",
                       {{"pid", pid}, {"seconds", seconds}});
    case isolated::Notice::What::replica_failed:
      return tell_failure(log, notice.replica, notice.text);
    case isolated::Notice::What::ended:
      return log.event(Level::error, "the local engine's process ended, and is started again",
                       {{"cause", notice.text}, {"in_seconds", seconds}});
    case isolated::Notice::What::prints:
      return log.event(Level::warn, "the local engine's process prints",
                       {{"pid", pid}, {"line", notice.text}});
  }
}

}  // namespace

process::Program form_server() { return {"/proc/self/exe", {"forms-child"}}; }

Result<std::unique_ptr<EngineTarget>> EngineTarget::make(const config::LocalTarget& target,
                                                         telemetry::Log& log) {
  if (target.isolation == "process") {
    auto made = isolated::make_isolated_backend(
        target, engine_program(), [&log](const isolated::Notice& notice) { tell(log, notice); });
    if (!made) return made.error();
    return std::unique_ptr<EngineTarget>(
        new EngineTarget(std::move(made->backend), std::move(made->supervisor)));
  }
  auto engine = local::make_local_backend(
      target, form_server(),
      [&log](std::size_t replica, const Error& why) { tell_failure(log, replica, why.message); });
  if (!engine) return engine.error();
  return std::unique_ptr<EngineTarget>(new EngineTarget(std::move(*engine), nullptr));
}

std::string EngineTarget::obstacle() const {
  if (supervisor_) return supervisor_->obstacle();
  return engine_->status().ready ? "" : "the local engine failed";
}

Async<local::Prompts> EngineTarget::encode(std::shared_ptr<const ChatRequest> request,
                                           std::string tenant) {
  if (!is_long(*request)) co_return engine_->encode(request);
  // What it reads is kept until it is asked for again.
  std::function<void()> work = [engine = engine_.get(), request] { (void)engine->encode(request); };
  const auto done = co_await long_prompts_.run(std::move(tenant), std::move(work));
  if (!done) co_return done.error();
  co_return engine_->encode(request);
}

Async<PromptTokens> EngineTarget::prompt_tokens(std::shared_ptr<const ChatRequest> request,
                                                std::string tenant) {
  const auto prompts = co_await encode(std::move(request), std::move(tenant));
  if (!prompts) co_return prompts.error();
  PromptTokens tokens;
  for (const auto& prompt : **prompts) {
    const int size = static_cast<int>(prompt.size());
    tokens.all += size;
    tokens.longest = std::max(tokens.longest, size);
  }
  co_return tokens;
}

int EngineTarget::cached_tokens(const std::shared_ptr<const ChatRequest>& request,
                                std::string_view tenant) {
  const auto prompts = engine_->encode(request);
  return prompts ? engine_->cached_tokens(tenant, *prompts) : 0;
}

Async<std::vector<std::int32_t>> EngineTarget::prompt(std::shared_ptr<const ChatRequest> request,
                                                      std::string tenant) {
  const auto prompts = co_await encode(std::move(request), std::move(tenant));
  if (!prompts) co_return prompts.error();
  co_return (*prompts)->front();
}

}  // namespace spillway
