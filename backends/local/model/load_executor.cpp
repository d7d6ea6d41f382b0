#include "backends/local/model/load_executor.h"

#include "backends/local/model/torch_executor_internal.h"
#include "backends/local/ops/aten_ops.h"
#include "backends/local/ops/packed_ops.h"

#include <exception>
#include <utility>

namespace spillway::local {

namespace {

Result<std::unique_ptr<ops::Ops>> make_ops(const ExecutorOptions& options) {
  if (options.precision == "fp32") {
    return ops::make_aten_ops(at::kFloat, {options.layers, options.kv_e4m3});
  }
  if (options.precision == "bf16") return ops::make_aten_ops(at::kBFloat16);
  if (options.precision == "int8") return ops::make_packed_ops(options.threads);
  return Error{Errc::invalid_request, "executor: torch has no precision " + options.precision, "",
               std::nullopt};
}

}  // namespace

Result<std::unique_ptr<Executor>> load_executor(const loader::ModelFile& file,
                                                const ExecutorOptions& options) {
  try {
    auto spec = read_arch_spec(file);
    if (!spec) return spec.error();
    auto ops = make_ops(options);
    if (!ops) return ops.error();
    auto decoder = Decoder::load(file, std::move(*spec), std::move(*ops), options.kv_blocks);
    if (!decoder) return decoder.error();
    // Our own kernels bring their own threads: LibTorch's would only spin beside them.
    const int library_threads = options.precision == "int8" ? 1 : options.threads;
    return std::make_unique<TorchExecutor>(std::move(*decoder), options.kv_blocks, library_threads);
  } catch (const std::exception& problem) {
    return Error{Errc::invalid_request, std::string("model file: ") + problem.what(), "",
                 std::nullopt};
  }
}

}  // namespace spillway::local
