#include "gateway/verbs/fits.h"

#include "backends/local/arch/arch_spec.h"
#include "backends/local/cuda/decoder_division.h"
#include "backends/local/cuda/file_weights.h"
#include "backends/local/loader/model_file.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <string_view>

namespace spillway::verbs {
namespace {

constexpr double kGiB = 1 << 30;
constexpr double kArticleBytesPerParameter = 4.5;  // "About 45 GB for 10 B parameters".

struct Precision {
  std::string_view name;
  double bytes;  // A parameter.
};
constexpr Precision kPrecisions[] = {
    {"fp32", 4.0}, {"bf16", 2.0}, {"int8", 1.0}, {"fp8", 1.0}, {"int4", 0.52}};

double bytes_of(std::string_view precision) {
  for (const Precision& one : kPrecisions) {
    if (one.name == precision) return one.bytes;
  }
  return 1.0;
}

// What `precision` says, or what the executor makes of "auto".
std::string_view precision_in(const config::LocalTarget& target, bool keeps_int4) {
  if (target.precision != "auto") return target.precision;
  if (target.executor != "cuda") return "int8";
  return keeps_int4 ? "int4" : "bf16";
}

// What the KV cache keeps of one token in a layer, at the least; the CPU keeps it wider, and each
// GPU has all of a latent row, and one key head at least.
std::int64_t kv_token_bytes(const config::LocalTarget& target, const local::ArchSpec& arch) {
  const int whole = arch.latent.used() ? 1 : std::min(arch.kv_heads, target.tensor_parallel);
  const int copies = target.tensor_parallel / whole;
  if (target.kv_cache != "fp8") return 2 * arch.kv_token_width() * copies;
  return 2 * arch.kv_heads * (arch.head_width + 4) * copies;
}

// In bf16, as all that is everyone's. None where GPUs cannot share the model, which is told
// elsewhere.
std::int64_t repeated_bytes(const config::LocalTarget& target, const local::ArchSpec& arch) {
  if (target.tensor_parallel == 1) return 0;
  const auto shape = local::cuda::shape_of(arch, arch.context_max);
  if (!shape || !local::cuda::check_division(*shape, target.tensor_parallel)) return 0;
  return 2 * local::cuda::repeated_weights(*shape, target.tensor_parallel);
}

std::string in_gib(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", bytes / kGiB);
  return text;
}

// A number in a file of the kernel's; the most there is where it says "max" or is not there.
std::int64_t number_in(const char* path, std::string_view label) {
  std::ifstream file(path);
  std::string word;
  while (!label.empty() && file >> word && word != label) continue;
  std::int64_t number = 0;
  return file >> number ? number : std::numeric_limits<std::int64_t>::max();
}

std::string what_would_fit(const config::LocalTarget& target, const MemoryNeed& need,
                           std::int64_t bytes) {
  std::string options;
  const double per_parameter = bytes_of(precision_in(target, need.keeps_int4));
  const double kv = static_cast<double>(need.kv_token_bytes * need.kv_tokens);
  const double besides = kv + static_cast<double>(need.repeated_bytes);
  for (const Precision& one : kPrecisions) {
    const double needed = one.bytes * static_cast<double>(need.parameters) + besides;
    const bool taken = one.name != "fp8" && (one.name != "int4" || target.executor == "cuda");
    if (!taken || one.bytes >= per_parameter || needed > static_cast<double>(bytes)) continue;
    options = "precision " + std::string(one.name) + " (" + in_gib(needed) + ")";
    break;
  }
  const std::int64_t room = bytes - need.weight_bytes;
  if (room > 0 && need.kv_token_bytes > 0) {
    const std::int64_t tokens = room / need.kv_token_bytes;
    options += (options.empty() ? "" : ", or ") + ("kv_tokens_max: " + std::to_string(tokens));
  }
  const auto parameters =
      static_cast<std::int64_t>((static_cast<double>(bytes) - besides) / per_parameter);
  options += (options.empty() ? "" : ", or ") +
             ("a model of at most " +
              std::to_string(std::max<std::int64_t>(0, parameters / 1'000'000)) + " M parameters");
  return options;
}

}  // namespace

Result<MemoryNeed> memory_need(const config::LocalTarget& target) {
  const auto file = loader::ModelFile::open(target.model_path, loader::Bytes::as_they_lie);
  if (!file) return file.error();
  const auto arch = local::read_arch_spec(*file);
  if (!arch) return arch.error();
  MemoryNeed need;
  for (const loader::Tensor& tensor : file->tensors())
    need.parameters += tensor.rows() * tensor.columns();
  need.keeps_int4 = local::cuda::kept_four_bits(*file, *arch, target.tensor_parallel).has_value();
  need.repeated_bytes = repeated_bytes(target, *arch);
  need.weight_bytes = need.repeated_bytes +
                      static_cast<std::int64_t>(bytes_of(precision_in(target, need.keeps_int4)) *
                                                static_cast<double>(need.parameters));
  need.kv_token_bytes = arch->layers * kv_token_bytes(target, *arch);
  need.kv_tokens = target.kv_tokens_max;
  return need;
}

std::int64_t machine_memory() {
  const std::int64_t machine = number_in("/proc/meminfo", "MemTotal:");
  const std::int64_t group = number_in("/sys/fs/cgroup/memory.max", "");
  const bool known = machine < std::numeric_limits<std::int64_t>::max() / 1'024;
  return std::min(known ? machine * 1'024 : machine, group);
}

std::optional<std::string> does_not_fit(const config::LocalTarget& target, const MemoryNeed& need,
                                        std::int64_t bytes) {
  if (need.bytes() <= bytes) return std::nullopt;
  const double article = kArticleBytesPerParameter * static_cast<double>(need.parameters);
  return "cannot fit: " + in_gib(static_cast<double>(need.weight_bytes)) + " of weights as " +
         std::string(precision_in(target, need.keeps_int4)) + " and " +
         in_gib(static_cast<double>(need.kv_token_bytes * need.kv_tokens)) + " of KV cache for " +
         std::to_string(need.kv_tokens) + " tokens, of " + in_gib(static_cast<double>(bytes)) +
         " (the rule of 45 GB for 10 B parameters: " + in_gib(article) +
         "). What would: " + what_would_fit(target, need, bytes);
}

}  // namespace spillway::verbs
