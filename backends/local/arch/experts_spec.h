// What a file says of feed forward layers of which a token takes a few.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/arch/arch_keys.h"
#include "backends/local/arch/arch_spec.h"
#include "backends/local/loader/model_file.h"

namespace spillway::local {

// `normalised`: whether weights add up to 1 where the file does not say. invalid_request names what
// is missing or does not fit.
Result<Experts> read_experts(const loader::ModelFile& file, ArchKeys& keys, bool normalised);

}  // namespace spillway::local
