// What the shared library spillway_torch offers to the program that loads it (open_torch.h): the
// doors of this room, so that LibTorch is in the memory of those alone who compute with it.
//
// Types of C++ pass between the two: they must be of one version.
#pragma once

#include "backends/local/model/load_encoder.h"
#include "backends/local/model/load_executor.h"

namespace spillway::local {

struct TorchLibrary {
  const char* version;
  decltype(&load_executor) make_executor;
  decltype(&load_encoder) make_encoder;
};

inline constexpr char kTorchSymbol[] = "spillway_torch_library";  // A const TorchLibrary.

}  // namespace spillway::local
