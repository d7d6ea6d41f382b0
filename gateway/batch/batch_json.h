// Batches as OpenAI's objects, and what clients send to make one. Pure.
#pragma once

#include "backends/contract/error.h"
#include "gateway/batch/batch.h"

#include <string>
#include <string_view>
#include <vector>

namespace spillway::batch {

std::string batch_object(const Batch& batch);

struct BatchPage {
  std::vector<Batch> batches;
  bool has_more = false;
};
std::string batch_page(const BatchPage& page);

// POST /v1/batches: input_file, endpoint, metadata and output_expires_after are set.
Result<Batch> read_batch(std::string_view body, const std::vector<std::string>& endpoints);

// How faults are kept.
std::string faults_text(const std::vector<Fault>& faults);
std::vector<Fault> faults_in(std::string_view text);

}  // namespace spillway::batch
