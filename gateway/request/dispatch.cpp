#include "gateway/request/dispatch.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace spillway {
namespace {

bool is_empty(const Delta& delta) {
  return delta.text.empty() && delta.reasoning.empty() && delta.extra.empty() &&
         delta.logprobs.empty() && delta.searches == 0 && !delta.finish;
}

std::optional<std::string> first_unknown(const std::vector<std::string>& left_out,
                                         const ChatRequest& request) {
  const auto found = std::find_first_of(left_out.begin(), left_out.end(), request.unknown.begin(),
                                        request.unknown.end());
  return found == left_out.end() ? std::nullopt : std::optional(*found);
}

Error cannot_be_told(const policy::Candidate& candidate, const std::string& field) {
  return {Errc::unsupported, std::string(candidate.target) + " is not known to take " + field + ".",
          field, std::nullopt};
}

}  // namespace

std::size_t servers_of(const policy::Candidate& candidate, const Edition& edition) {
  return candidate.local ? 1 : edition.providers.find(candidate.target)->second.size();
}

Async<Opened> Dispatcher::open(Approach& approach, const Edition& edition) {
  approach.sent = SteadyClock::now();
  if (approach.instead) co_return co_await first_piece(*approach.instead, approach, edition);
  auto visit = this->visit(approach, edition);
  if (!visit) co_return visit.error();
  Backend& backend =
      *visit ? *edition.providers.find(approach.candidate.target)->second[(*visit)->server()]
             : local_->backend();
  auto opened = co_await first_piece(backend, approach, edition);
  approach.seconds = seconds_between(approach.sent, SteadyClock::now());
  if (*visit && opened) (*visit)->answered(opened->stream->rate_left());
  if (*visit && !opened) approach.paused = (*visit)->failed(opened.error());
  if (opened) opened->visit = std::move(*visit);
  co_return opened;
}

// Which server is asked; none to be chosen for the local target.
Result<std::optional<FleetVisit>> Dispatcher::visit(Approach& approach, const Edition& edition) {
  const policy::Candidate& candidate = approach.candidate;
  if (candidate.local) return std::optional<FleetVisit>();
  const std::size_t servers = servers_of(candidate, edition);
  policy::Call call;
  call.asking = {approach.request->stream, candidate.at_batch_rate, candidate.promise,
                 approach.prompt_tokens, candidate.lane};
  call.prompt = approach.prompt;
  call.among = approach.among & policy::first(servers);  // A reload may have brought more.
  call.occasion = approach.occasion;
  auto [visit, retries_used_up] = fleet_.visit(candidate.target, call);
  approach.retries_used_up = retries_used_up;
  approach.visited = visit.has_value();
  if (!visit) return Error{Errc::overloaded, "not to be asked now", "", std::nullopt};
  approach.bytes_per_token = visit->bytes_per_token();
  if (servers > 1) approach.server = visit->server();
  if (servers > 1) approach.address = visit->address();
  return std::move(visit);
}

Async<Opened> Dispatcher::first_piece(Backend& backend, Approach& approach,
                                      const Edition& edition) {
  Opened opened;
  opened.candidate = approach.candidate;
  opened.left_out = backend.left_out(*approach.request);
  if (!approach.instead && edition.settings->server.unknown_fields == "refuse") {
    const auto unknown = first_unknown(opened.left_out, *approach.request);
    if (unknown) co_return cannot_be_told(opened.candidate, *unknown);
  }
  Terms terms{std::string(opened.candidate.model), approach.patience, opened.candidate.lane,
              std::string(approach.tenant), approach.is_last};
  auto stream = co_await backend.open(approach.request, std::move(terms));
  approach.understood = stream || stream.error().code != Errc::unsupported;
  if (!stream) co_return stream.error();
  opened.stream = std::move(*stream);
  while (true) {
    auto piece = co_await opened.stream->next(approach.patience);
    if (piece && *piece && is_empty(**piece)) {  // A provider's role chunk is no answer yet.
      if ((*piece)->usage) opened.told = (*piece)->usage;
      approach.engine_time += (*piece)->engine_time;
      continue;
    }
    if (piece && *piece) {
      opened.first = std::move(**piece);
      opened.first.engine_time += approach.engine_time;
      co_return std::move(opened);
    }
    approach.at_work = opened.stream->at_work() || approach.engine_time.count() > 0;
    approach.told = opened.told;
    approach.bytes_written = opened.stream->bytes_written();
    if (!piece) co_return piece.error();
    co_return Error{Errc::backend_unavailable, "ended without an answer", "", std::nullopt};
  }
}

}  // namespace spillway
