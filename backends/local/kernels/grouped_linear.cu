// Which form of grouped_kernel.cuh a product takes.
#include "backends/local/kernels/grouped_kernel.cuh"

namespace spillway::kernels {
namespace {

// Few tokens are bound by memory; many by the L2, from which larger tiles ask less, and those that
// share less still.
template <int Format>
using FewTokens = Form<Format, 128, 128, 6, 1>;
template <int Format>
using SomeTokens = Form<Format, 256, 96, 4, 1>;
template <int Format>
using ManyTokens = Form<Format, 256, 128, 4, 1>;
template <int Format>
using MoreTokens = Form<Format, 256, 144, 4, 1>;
template <int Format>
using FewShared = Form<Format, 256, 96, 4, 2>;
template <int Format>
using ManyShared = Form<Format, 256, 112, 4, 2>;

constexpr int kFewRows = 40;  // A group, by the mean of all groups.
constexpr int kScarceRows = 16;  // So few that two blocks fit a multiprocessor.

int mean_rows(const GroupedLinear& args) { return args.lists ? args.rows_listed / args.groups : 0; }

// Which form is the fastest was measured: PERFORMANCE.md. Few rows by the mean of all groups, those
// of shared experts too; many by what most groups have, which a tile should hold.
template <int Format>
int enqueue_tiles(const GroupedLinear& args, Stream stream) {
  const int mean = mean_rows(args);
  if (mean <= kFewRows) return enqueue<FewTokens<Format>>(args, stream);
  if (mean <= 80) return enqueue<SomeTokens<Format>>(args, stream);  // Hardly any has more than 96.
  const int usual = args.rows_usual;
  if (usual <= 121) return enqueue<ManyTokens<Format>>(args, stream);
  if (usual <= 136) return enqueue<MoreTokens<Format>>(args, stream);
  if (usual <= 173) return enqueue<FewShared<Format>>(args, stream);
  if (usual <= 217) return enqueue<ManyShared<Format>>(args, stream);
  return enqueue<MoreTokens<Format>>(args, stream);
}

// Registers hold the weights of one slab, and its sums. Of scarce rows one block converts weights
// while the other waits for its own.
template <int Format>
int enqueue_integers(const GroupedLinear& args, Stream stream) {
  constexpr bool kBytes = Format == kInt8;
  if (mean_rows(args) <= kScarceRows) {
    return enqueue<Form<Format, 128, 32, kBytes ? 4 : 6, 1, 2>>(args, stream);
  }
  if (mean_rows(args) <= kFewRows) {
    return enqueue<Form<Format, 128, 64, kBytes ? 6 : 8, 1>>(args, stream);
  }
  return enqueue<Form<Format, 128, 128, kBytes ? 4 : 5, 1>>(args, stream);
}

}  // namespace

extern "C" int spillway_grouped_linear(const GroupedLinear* args, Stream stream) {
  const bool supported = args->n % 16 == 0 && args->k % kTileDepth == 0 && args->groups >= 1 &&
                         args->groups <= kExpertsMax;
  if (!supported || (args->format != kBf16 && !args->lists)) return cudaErrorInvalidValue;
  if (args->rows == 0) return cudaSuccess;
  switch (args->format) {
    case kBf16: return enqueue_tiles<kBf16>(*args, stream);
    case kE4m3: return enqueue_tiles<kE4m3>(*args, stream);
    case kInt8: return enqueue_integers<kInt8>(*args, stream);
    case kInt4: return enqueue_integers<kInt4>(*args, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace spillway::kernels
