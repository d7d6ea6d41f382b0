// The process itself as the kernel sees it: CPU, memory, descriptors, threads. Linux's /proc.
#pragma once

#include "gateway/telemetry/series_store.h"

#include <vector>

namespace spillway::telemetry {

// Any thread; reads four small files. What cannot be read is left out.
std::vector<LiveSample> process_samples();

}  // namespace spillway::telemetry
