// Loads LibTorch when somebody is to compute with it: it takes half a second of processor time and
// 150 MB, which a gateway to providers, a verb or a simulated provider need not spend.
//
// Any thread. What was loaded stays until the program ends.
#pragma once

#include "backends/contract/error.h"

namespace spillway::local {

struct TorchLibrary;

// From the shared library beside the program. invalid_request: this build has no LibTorch, or the
// library is not there, or is of another version.
Result<const TorchLibrary*> open_torch();

}  // namespace spillway::local
