// What a model costs in each precision: memory, and how far its answers move from those in bf16.
//
// For a command at a terminal: takes as long as loading the model so many times, and as much memory
// as serving it. Any thread, one call at a time.
#pragma once

#include "backends/contract/error.h"
#include "backends/local/quantize/precision.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace spillway::local {

// How weights of the layers' matrices, and keys and values, are kept.
struct Storage {
  Precision weights = Precision::bf16;
  bool kv_fp8 = false;
};

// Of next tokens, read along fixed texts, beside those in bf16.
struct Drift {
  int tokens = 0;
  double same_top = 0.0;    // Share of tokens for which the likeliest is the same.
  double divergence = 0.0;  // Mean of KL(bf16 ‖ this), in nats.
};

struct Cost {
  Storage storage;
  std::int64_t matrix_bytes = 0;    // Of the layers' matrices, which are what is kept so.
  std::int64_t weight_bytes = 0;    // With all else, which stays bf16 (beside fp32, fp32).
  std::int64_t kv_token_bytes = 0;  // A token of context.
  std::optional<Drift> drift;       // Nothing: not measured, because nothing here computes it.
};

// The memory alone, from the model file's own tables. Fails as reading them does.
Result<Cost> memory_cost(const std::string& model_path, const Storage& storage);

// "cuda" or "torch", which this build has; "" without either.
std::string measuring_executor();

// Calls `each` with the cost of every storage as it is known. `executor` is one that
// this build has, which computes the answers (torch: in fp32, with what weights and keys lose), or
// "" for memory alone. invalid_request says what is wrong with the file or the executor.
Result<void> measure_costs(const std::string& model_path, const std::string& executor,
                           const std::function<void(const Cost&)>& each);

}  // namespace spillway::local
