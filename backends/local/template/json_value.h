// JSON text as a template value.
//
// Pure; any thread.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/template/value.h"

#include <string_view>

namespace spillway::templates {

// All text in it, keys too, is marked as input. Objects keep their order. An error for what is not
// JSON, nests deeper than kValueDepthMax or has integers that 64 bits do not hold.
Result<Value> value_from_json(std::string_view json);

}  // namespace spillway::templates
