// `spillway quantize --report MODEL`: what each precision of weights and KV cache takes of memory,
// and how far the model's answers move with it.
#include "backends/local/quality.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/verbs.h"

#include <cstdio>
#include <string>

namespace spillway::verbs {

namespace {

using local::Cost;
using local::Precision;

std::string in_percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%+.1f %%", 100.0 * share);
  return text;
}

std::string in_mebibytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

std::string kv_name(const local::Storage& storage) {
  if (storage.kv_fp8) return "fp8";
  return storage.weights == Precision::fp32 ? "fp32" : "bf16";
}

// How much more than others.
std::string beside(std::int64_t bytes, std::int64_t others) {
  return in_percent(static_cast<double>(bytes) / static_cast<double>(others) - 1.0);
}

class Table {
 public:
  Table(const Cost& fp32, const Cost& bf16) : fp32_(fp32), bf16_(bf16) {
    std::printf("%-7s %-4s | %11s %9s %9s | %11s %9s %9s | %8s | %10s %9s\n", "weights", "KV",
                "matrices", "to fp32", "to 16 bit", "all weights", "to fp32", "to 16 bit",
                "KV/token", "same top-1", "KL, nats");
    std::fflush(stdout);
  }

  void add(const Cost& cost) const {
    const std::string weights(name_of(cost.storage.weights));
    std::printf("%-7s %-4s |", weights.c_str(), kv_name(cost.storage).c_str());
    add_bytes(cost.matrix_bytes, fp32_.matrix_bytes, bf16_.matrix_bytes);
    add_bytes(cost.weight_bytes, fp32_.weight_bytes, bf16_.weight_bytes);
    std::printf(" %6lld B |", static_cast<long long>(cost.kv_token_bytes));
    if (cost.drift) {
      std::printf(" %8.2f %% %9.5f", 100.0 * cost.drift->same_top, cost.drift->divergence);
    }
    std::printf("\n");
    std::fflush(stdout);
  }

 private:
  static void add_bytes(std::int64_t bytes, std::int64_t fp32, std::int64_t bf16) {
    std::printf(" %11s %9s %9s |", in_mebibytes(bytes).c_str(), beside(bytes, fp32).c_str(),
                beside(bytes, bf16).c_str());
  }

  const Cost fp32_;
  const Cost bf16_;
};

int fail(const Error& error) {
  std::fprintf(stderr, "spillway quantize: %s\n", error.message.c_str());
  return kFailed;
}

int print_report(const std::string& model, const std::string& executor) {
  const auto fp32 = local::memory_cost(model, {Precision::fp32});
  const auto bf16 = local::memory_cost(model, {Precision::bf16});
  if (!fp32 || !bf16) return fail(!fp32 ? fp32.error() : bf16.error());
  std::printf("%s\n", model.c_str());
  if (executor.empty()) {
    std::printf("memory alone; answers take a build with executor torch or cuda\n\n");
  } else {
    std::printf("answers by executor %s, next tokens along fixed texts, beside those in bf16\n\n",
                executor.c_str());
  }
  const Table table(*fp32, *bf16);
  int tokens = 0;
  const auto measured = local::measure_costs(model, executor, [&](const Cost& cost) {
    table.add(cost);
    if (cost.drift) tokens = cost.drift->tokens;
  });
  if (!measured) return fail(measured.error());
  std::printf(
      "\nThe layers' matrices are what is kept in fewer bits; embedding, head, norms and what "
      "chooses experts stay bf16.\n");
  if (tokens > 0) std::printf("Shares are of %d tokens.\n", tokens);
  return kDone;
}

}  // namespace

int quantize(const Arguments& arguments) {
  Options options;
  options.words("MODEL", 1)
      .flag("--report", "memory and quality of each precision")
      .value("--executor", "NAME", "who computes the answers: cuda, torch or none");
  if (!options.read(arguments, "spillway quantize")) return options.exit_status();
  if (options.words_given().empty() || !options.has("--report")) {
    std::fprintf(stderr,
                 "spillway quantize: say --report and which GGUF file; weights are packed "
                 "when they are loaded, as a target's `precision` says\n");
    return kMisused;
  }
  const std::string asked = options.get("--executor", local::measuring_executor());
  return print_report(options.words_given().front(), asked == "none" ? "" : asked);
}

}  // namespace spillway::verbs
