// What a file of DeepSeek's architecture (V2, V2-Lite, V3 and those built like them) says of its
// attention and its experts.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/arch/arch_keys.h"
#include "backends/local/arch/arch_spec.h"
#include "backends/local/loader/model_file.h"

namespace spillway::local {

// Fills latent, experts, heads and frequencies of a spec whose other sizes are read.
// invalid_request says which key is missing or not supported.
Result<void> read_deepseek(const loader::ModelFile& file, ArchKeys& keys, double base,
                           ArchSpec& spec);

}  // namespace spillway::local
