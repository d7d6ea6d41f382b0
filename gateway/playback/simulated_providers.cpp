#include "gateway/playback/simulated_providers.h"

#include "gateway/policy/price.h"

namespace spillway {

simulate::CloudWorld cloud_world(const SimulationSetup& setup, double length) {
  simulate::CloudWorld world{.length = length,
                             .seed = setup.seed,
                             .slowdown = setup.cloud_slowdown,
                             .overloaded = setup.overloaded,
                             .failing = setup.failing,
                             .measured = setup.measured};
  if (world.overloaded.empty()) world.overloaded = simulate::usually_overloaded(*setup.settings);
  if (!setup.overload) world.overloaded.clear();
  return world;
}

SimulatedProviders::SimulatedProviders(const SimulationSetup& setup, const simulate::Replay& replay)
    : settings_(*setup.settings), replay_(replay) {
  const simulate::CloudWorld world = cloud_world(setup, replay.length);
  for (const config::ProviderTarget& provider : settings_.providers) {
    place_of_[provider.name] = static_cast<int>(servers_.size());
    servers_.push_back(simulate::clouds_of(provider, world));
  }
}

simulate::CloudReply SimulatedProviders::ask(int place, std::size_t server,
                                             const simulate::TraceRequest& request, int attempt,
                                             double now) {
  const simulate::CloudRequest ask{request.id, attempt, request.prompt_tokens,
                                   request.completion_tokens, replay_.prefix_of(request)};
  return servers_[static_cast<std::size_t>(place)][server].ask(ask, now);
}

config::NanoUsd SimulatedProviders::cost_of(const policy::Candidate& candidate,
                                            const simulate::TraceRequest& request,
                                            const simulate::CloudReply& reply) const {
  Usage usage;
  usage.prompt_tokens = request.prompt_tokens;
  usage.completion_tokens = request.completion_tokens;
  usage.cached_tokens = reply.cached_tokens;
  usage.at_batch_rate = candidate.at_batch_rate;
  const auto place = static_cast<std::size_t>(place_of(candidate.target));
  return policy::cost_of(settings_.providers[place].price, usage);
}

}  // namespace spillway
