// What a file of Gemma 2 or 3 says beside what all say.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/arch/arch_keys.h"
#include "backends/local/arch/arch_spec.h"
#include "backends/local/loader/model_file.h"

namespace spillway::local {

// Of a spec whose sizes are read.
Result<Gemma> read_gemma(const loader::ModelFile& file, ArchKeys& keys, const ArchSpec& spec);

}  // namespace spillway::local
