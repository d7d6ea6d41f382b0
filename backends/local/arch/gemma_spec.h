// What a file of Gemma 2 or 3 says beside what all say.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/arch/arch_keys.h"
#include "backends/local/arch/arch_spec.h"
#include "backends/local/loader/model_file.h"

namespace spillway::local {

// What scores are divided by the root of where the file does not say it: the width of a head, but
// in Gemma's models of 27 B parameters, which no GGUF file tells apart by more than their layers.
// Of a spec whose sizes are read.
double usual_score_width(const ArchSpec& spec);

// Of a spec whose sizes are read.
Result<Gemma> read_gemma(const loader::ModelFile& file, ArchKeys& keys, const ArchSpec& spec);

}  // namespace spillway::local
