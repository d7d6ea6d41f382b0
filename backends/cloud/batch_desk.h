// A provider's batches API over HTTPS as a BatchDesk: OpenAI's.
//
// Made and owned by the provider's backend; drives its transfers on the same cloud thread, beside
// the places of live requests.
#pragma once

#include "backends/cloud/upstream.h"
#include "backends/contract/batch_desk.h"

#include <memory>

namespace spillway::cloud {

class TransferLoop;

// `loop` must outlive it. Requires: the dialect of `upstream` is OpenAI's.
std::unique_ptr<BatchDesk> make_batch_desk(std::shared_ptr<Upstream> upstream, TransferLoop& loop);

}  // namespace spillway::cloud
