// One request and its answer, as the stages of the pipeline hand it on. Of one coroutine.
#pragma once

#include "gateway/fleet/edition.h"
#include "gateway/policy/prompt_marks.h"
#include "gateway/request/errand.h"
#include "gateway/request/notes.h"
#include "gateway/request/pipeline.h"
#include "gateway/request/receipt.h"
#include "gateway/request/tab.h"

#include <memory>
#include <optional>
#include <utility>

namespace spillway {

struct Pipeline::Exchange {
  Exchange(const Entry& entry, const wire::Protocol& spoken, http::Request request,
           http::ResponseWriter& writer)
      : edition(entry.edition),
        protocol(spoken),
        raw(std::move(request)),
        out(writer),
        receipt(open_receipt(raw)) {
    receipt.canary = entry.canary;
    receipt.policy = edition->policy;
  }

  const std::shared_ptr<const Edition> edition;
  const wire::Protocol& protocol;
  http::Request raw;
  http::ResponseWriter& out;
  Receipt receipt;
  policy::Caller caller;
  wire::Asked asked;           // Once the body has been understood.
  policy::PromptMarks prompt;  // Empty where no provider's cache makes a difference.
  account::Pool pool = account::Pool::waited_for;
  account::Pass pass;
  const HandedBack* back = nullptr;  // Null: it has not been answered yet.
  config::Key stand_in;              // For a key that is gone.
  std::optional<Entry> today;        // As its key is by now, once it has waited.
  Accept accept;                     // Empty: whoever asks waits for the answer.
  std::optional<Tab> tab;
};

}  // namespace spillway
