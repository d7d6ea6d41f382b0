#include "backends/local/model/torch_library.h"

using namespace spillway::local;

extern "C" __attribute__((visibility("default"))) const TorchLibrary spillway_torch_library;
const TorchLibrary spillway_torch_library{SPILLWAY_VERSION, load_executor, load_encoder};
