// Which layers of a file see but the last few positions.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/arch/arch_keys.h"
#include "backends/local/arch/arch_spec.h"
#include "backends/local/loader/model_file.h"

namespace spillway::local {

// Of a spec whose sizes are read. A file that has a window and does not say in which layers means
// all of them; of Gemma, all but each second or sixth.
Result<Windows> read_windows(const loader::ModelFile& file, ArchKeys& keys, const ArchSpec& spec);

}  // namespace spillway::local
