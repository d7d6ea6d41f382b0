#include "backends/local/open_torch.h"

#ifdef SPILLWAY_TORCH
#include "backends/local/model/torch_library.h"

#include <dlfcn.h>
#include <string_view>
#endif

#include <string>

namespace spillway::local {
namespace {

Error not_there(const std::string& why) { return {Errc::invalid_request, why, "", std::nullopt}; }

#ifdef SPILLWAY_TORCH
Result<const TorchLibrary*> load() {
  void* library = dlopen("libspillway_torch.so", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return not_there(std::string("LibTorch cannot be loaded: ") + dlerror());
  const auto* found = static_cast<const TorchLibrary*>(dlsym(library, kTorchSymbol));
  if (found == nullptr || std::string_view(found->version) != SPILLWAY_VERSION) {
    return not_there("libspillway_torch.so is not of version " SPILLWAY_VERSION
                     ": put the one beside the program that was built with it");
  }
  return found;
}
#endif

}  // namespace

Result<const TorchLibrary*> open_torch() {
#ifdef SPILLWAY_TORCH
  static const Result<const TorchLibrary*> library = load();
  return library;
#else
  return not_there("this build has no LibTorch: build with -DSPILLWAY_TORCH=ON");
#endif
}

}  // namespace spillway::local
