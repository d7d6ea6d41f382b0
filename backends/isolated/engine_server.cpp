#include "backends/isolated/engine_server.h"

#include "backends/local/engine/executor.h"
#include "backends/local/engine/text_codec.h"
#include "config/load.h"

#include <algorithm>
#include <cstdio>
#include <poll.h>
#include <utility>

namespace spillway::isolated {
namespace {

local::Ask ask_of(Question& order) {
  local::Ask ask;
  ask.prompts =
      std::make_shared<const std::vector<std::vector<std::int32_t>>>(std::move(order.prompts));
  ask.sampling = std::move(order.sampling);
  ask.tokens_max = order.tokens_max;
  ask.lane = order.lane;
  ask.owner = std::move(order.owner);
  if (order.form) ask.form = std::make_shared<const Form>(std::move(*order.form));
  ask.begun = std::move(order.begun);
  ask.choices = std::max(1, order.choices);
  return ask;
}

}  // namespace

EngineServer::EngineServer(const Line& line, Load load, std::optional<process::Program> form_server)
    : line_(line),
      load_(std::move(load)),
      form_server_(std::move(form_server)),
      orders_(line.orders_in()),
      speaker_(line.words_out()),
      room_reporter_(speaker_) {}

EngineServer::~EngineServer() {
  if (stopping_.joinable()) stopping_.join();
}

Exit EngineServer::run() {
  while (true) {
    quiet(line_.engine_bell());
    if (roll_ && roll_->has_ended())
      return stopping_.joinable() ? Exit::stopped : Exit::engine_failed;
    if (const auto exit = heed_orders()) return *exit;
    if (!orders_.may_sleep()) continue;
    pollfd news[] = {{line_.engine_bell(), POLLIN, 0}, {line_.lifeline(), POLLIN, 0}};
    ::poll(news, std::size(news), -1);
    if (news[1].revents != 0) return Exit::gateway_gone;
  }
}

std::optional<Exit> EngineServer::heed_orders() {
  while (true) {
    const auto read = orders_.read(frame_);
    if (!read) return Exit::confused;
    if (!*read) return std::nullopt;
    auto order = decode_order(frame_);
    const bool is_first = engine_ == nullptr;
    if (!order || std::holds_alternative<Hello>(*order) != is_first) return Exit::confused;
    const auto exit = std::visit([this](auto& one) { return heed(one); }, *order);
    if (exit) return exit;
  }
}

std::optional<Exit> EngineServer::heed(Hello& order) {
  const auto loaded = config::load_text(order.settings, "the gateway");
  for (const config::Problem& problem : loaded.problems)
    std::fprintf(stderr, "%s\n", config::to_string(problem).c_str());
  if (!loaded.settings || loaded.settings->local.empty()) return Exit::confused;
  const config::LocalTarget& target = loaded.settings->local.front();
  auto model = load_(target);
  if (!model) {
    speaker_.say(Farewell{model.error().message});
    return Exit::not_loaded;
  }
  start(target, std::move(*model));
  EngineStatus status = engine_->status();
  std::vector<EngineStatus> engines = std::move(status.replicas);
  if (engines.empty()) engines.push_back(std::move(status));
  speaker_.say(Loaded{std::move(engines)});
  speaker_.wake();
  return std::nullopt;
}

void EngineServer::start(const config::LocalTarget& target, local::LocalModel model) {
  const std::size_t replicas = model.executors.size();
  roll_.emplace(replicas, line_.engine_bell());
  local::Observers observers{{}, &room_reporter_};
  for (Replica replica = 0; replica < replicas; ++replica) {
    reporters_.push_back(std::make_unique<Reporter>(speaker_, *roll_, replica, replicas));
    observers.engines.push_back(reporters_.back().get());
  }
  codec_ = std::move(model.codec);
  engine_ = local::start_engines(target, *codec_, std::move(model.executors), local::Calibrate::yes,
                                 form_server_, {}, observers);
}

std::optional<Exit> EngineServer::heed(Question& order) {
  std::erase_if(streams_, [](const auto& entry) { return entry.second.outlet->over(); });
  const auto outlet = std::make_shared<RingOutlet>(order.id, speaker_);
  const auto submitted = engine_->submit(ask_of(order), [&](std::function<void()> on_room) {
    streams_[order.id] = {outlet, std::move(on_room)};
    return outlet;
  });
  if (submitted) return std::nullopt;
  outlet->fail(submitted.error());
  speaker_.wake();
  return std::nullopt;
}

std::optional<Exit> EngineServer::heed(Cancelled& order) {
  return with(order.id, [](RingOutlet& outlet) { outlet.abandon(); });
}

std::optional<Exit> EngineServer::heed(Paused& order) {
  return with(order.id, [](RingOutlet& outlet) { outlet.pause(true); });
}

std::optional<Exit> EngineServer::heed(Resumed& order) {
  return with(order.id, [](RingOutlet& outlet) { outlet.pause(false); });
}

std::optional<Exit> EngineServer::heed(Nudge&) {
  engine_->nudge();
  return std::nullopt;
}

std::optional<Exit> EngineServer::heed(Stop& order) {
  if (!stopping_.joinable())
    stopping_ = std::thread([this, until = order.drain_until] { engine_->stop(until); });
  return std::nullopt;
}

template <class Change>
std::optional<Exit> EngineServer::with(StreamId id, Change change) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return std::nullopt;
  change(*found->second.outlet);
  found->second.on_room();
  return std::nullopt;
}

}  // namespace spillway::isolated
