#include "gateway/dispatch.h"

#include <string>
#include <utility>

namespace spillway {
namespace {

bool is_empty(const Delta& delta) {
  return delta.text.empty() && delta.reasoning.empty() && delta.extra.empty() &&
         delta.logprobs.empty() && !delta.finish;
}

}  // namespace

Async<Opened> Dispatcher::open(const policy::Candidate& candidate, const Edition& edition,
                               std::shared_ptr<const ChatRequest> request, std::string_view tenant,
                               Deadline deadline, Unanswered& unanswered) {
  Opened opened;
  opened.candidate = candidate;
  if (!candidate.local) {
    const policy::Asking asking{request->stream, candidate.at_batch_rate};
    opened.visit = fleet_.visit(candidate.target, asking);
    if (!opened.visit) co_return Error{Errc::overloaded, "not to be asked now", "", std::nullopt};
  }

  Terms terms{std::string(candidate.model), deadline, candidate.lane, std::string(tenant)};
  auto stream = co_await backend_of(candidate, edition)->open(request, std::move(terms));
  if (!stream) {
    if (opened.visit) opened.visit->failed(stream.error());
    co_return stream.error();
  }
  opened.stream = std::move(*stream);

  while (true) {
    auto piece = co_await opened.stream->next(deadline);
    if (piece && *piece && is_empty(**piece)) {  // A provider's role chunk is no answer yet.
      if ((*piece)->usage) opened.told = (*piece)->usage;
      continue;
    }
    if (piece && *piece) {
      opened.first = std::move(**piece);
      if (opened.visit) opened.visit->answered();
      co_return std::move(opened);
    }
    Error error =
        piece ? Error{Errc::backend_unavailable, "ended without an answer", "", std::nullopt}
              : piece.error();
    if (opened.visit) opened.visit->failed(error);
    unanswered = {opened.stream->at_work(), opened.told};
    co_return error;
  }
}

Backend* Dispatcher::backend_of(const policy::Candidate& candidate, const Edition& edition) const {
  return candidate.local ? &local_->backend()
                         : edition.providers.find(candidate.target)->second.get();
}

}  // namespace spillway
