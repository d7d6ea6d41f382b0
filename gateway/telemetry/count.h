// From one finished request to the series it moves. Any thread; pure but for the store it writes
// to.
#pragma once

#include "gateway/request/receipt.h"
#include "gateway/telemetry/series_store.h"
#include "gateway/telemetry/words.h"

namespace spillway::telemetry {

// Counts all of it, once.
void count_receipt(const Receipt& receipt, const Vocabulary& words, SeriesStore& store);

// Series whose label sets are small and known begin at zero, so that rates see their first event.
void start_at_zero(const Vocabulary& words, SeriesStore& store);

}  // namespace spillway::telemetry
