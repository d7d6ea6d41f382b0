// config.json in GGUF's words.
//
// Start-up only, any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/loader/json_internal.h"
#include "backends/local/loader/metadata.h"

#include <string>

namespace spillway::loader {

// What `config` says of the decoder, as metadata. Errors name the key.
Result<Metadata> metadata_of(const Json& config);

// The part of a config that is about text: all of it, but for models that also see.
const Json& text_config_of(const Json& config);

}  // namespace spillway::loader
