// One request and its answer, as the stages of the pipeline hand it on. Of one coroutine.
#pragma once

#include "gateway/edition.h"
#include "gateway/errand.h"
#include "gateway/notes.h"
#include "gateway/pipeline.h"
#include "gateway/receipt.h"
#include "gateway/tab.h"

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
  }

  const std::shared_ptr<const Edition> edition;
  const wire::Protocol& protocol;
  http::Request raw;
  http::ResponseWriter& out;
  Receipt receipt;
  policy::Caller caller;
  wire::Asked asked;  // Once the body has been understood.
  account::Pool pool = account::Pool::waited_for;
  account::Pass pass;
  const HandedBack* back = nullptr;  // Null: it has not been answered yet.
  config::Key stand_in;              // For a key that is gone.
  Accept accept;                     // Empty: whoever asks waits for the answer.
  std::optional<Tab> tab;
};

}  // namespace spillway
