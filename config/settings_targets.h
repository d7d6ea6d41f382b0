// Who can be asked: the engine on this machine, services over HTTP, encoders. Part of settings.h.
#pragma once

#include "config/price.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace spillway::config {

using Milliseconds = std::chrono::milliseconds;

struct ServedModel {
  std::string name;      // What clients ask for.
  std::string upstream;  // What the target calls it; equal to `name` if not given.
  bool operator==(const ServedModel&) const = default;
};

// Prior of the engine's step time, in force until the first measured steps replace it.
struct StepPrior {
  double base_ms = 8.0;
  double per_sequence_ms = 1.0;
  double per_context_token_us = 1.0;
  double per_prefill_token_us = 1'000.0;
  bool operator==(const StepPrior&) const = default;
};

// Of an engine in a process of its own.
struct Isolated {
  Milliseconds restart_after{1'000};       // Doubles each time that it does not last…
  Milliseconds restart_after_max{60'000};  // …up to this, which is also how long it has to last.
  Milliseconds hangs_after{30'000};        // Without a sign of life while it has work.
  bool operator==(const Isolated&) const = default;
};

// The machine that the engine runs on, as its owner pays for it.
struct Machine {
  NanoUsd price = 0;  // Of the hardware, written off over…
  Milliseconds lifetime{std::chrono::hours(3 * 365 * 24)};
  double watts = 0.0;       // Drawn at full work,
  double idle_watts = 0.0;  // …and without any.
  NanoUsd per_kwh = 0;
  bool operator==(const Machine&) const = default;
};

// Tokens that are guessed of what has been said before, and checked several in a step.
struct Speculation {
  int drafts = 0;   // In a step, of a sequence; 0: none.
  int longest = 4;  // Tokens in a row that are looked for.
  bool operator==(const Speculation&) const = default;
};

struct LocalTarget {
  std::string name = "local";
  // torch: on the CPU; cuda: on a GPU; synthetic: filler at the StepPrior's pace, for tests.
  std::string executor = "torch";
  std::string model_path;  // A GGUF file, or a Hugging Face folder.
  std::vector<ServedModel> serves;
  std::string precision = "auto";  // auto | fp32 | bf16 | fp8 | int8 | int4
  std::string kv_cache = "bf16";   // bf16 | fp8
  bool generation_config = true;   // The model's own defaults of sampling hold.
  int threads = 0;                 // 0: all cores.
  int tensor_parallel = 1;         // GPUs that compute each layer together.
  int replicas = 1;                // Engines behind one queue.
  int sequences_max = 8;
  int step_tokens_max = 256;      // Budget of one step; bounds how long a prompt holds up decoding.
  Milliseconds step_time_max{0};  // Prompts are cut so that steps stay within it; 0: not by time.
  int kv_tokens_max = 32'768;
  int context_max = 0;  // 0: the model's own.
  bool prefix_cache = true;
  Speculation speculation;
  int waiting_max = 64;  // The hard queue-depth limit.
  StepPrior step_prior;
  double synthetic_slowdown = 1.0;  // The synthetic executor takes so many times its prior.
  std::string isolation = "none";   // none | process
  Isolated isolated;
  std::string architecture;   // "qwen2"; empty: not said.
  NanoUsd cost_per_hour = 0;  // Rent or care, beside the node's own; for reports.
  Machine node;
  bool operator==(const LocalTarget&) const = default;
};

struct ProviderTimeouts {
  Milliseconds connect{2'000};
  Milliseconds first_token{10'000};
  Milliseconds between_tokens{10'000};
  Milliseconds total{300'000};
  bool operator==(const ProviderTimeouts&) const = default;
};

struct Breaker {
  int window = 20;                      // Attempts looked back on.
  double failure_share_max = 0.5;       // Opens at this share of failures…
  int failures_min = 5;                 // …once so many are in the window.
  Milliseconds open_for{5'000};         // Then one probe at a time is let through.
  Milliseconds account_pause{300'000};  // The same once it refuses the gateway's account.
  bool operator==(const Breaker&) const = default;
};

// What the account with a provider allows.
struct RateLimit {
  int requests_per_minute = 0;  // 0: unknown.
  int tokens_per_minute = 0;    // Prompt and completion.
  bool operator==(const RateLimit&) const = default;
};

// What the catalogue knows of a provider before anything has been measured here.
struct Measured {
  Milliseconds ttft_p50{500};
  Milliseconds ttft_p99{1'500};
  double tokens_per_second = 100.0;
  double quality = 0.0;  // The article's BLEU column.
  bool operator==(const Measured&) const = default;
};

// Of a provider's batches API: work that may wait is handed over in files, and asked about.
struct ProviderBatches {
  bool enabled = false;
  Milliseconds window{24 * 3'600'000};  // In which it promises the answers.
  Milliseconds poll{60'000};            // How often it is asked how far it is.
  int lines_min = 100;                  // Of fewer none is made.
  bool operator==(const ProviderBatches&) const = default;
};

// Of an encoder on this machine.
struct Encoder {
  std::string model_path;  // A folder as Hugging Face publishes it; empty: it is no encoder.
  int threads = 1;
  int waiting_max = 64;  // Requests asked and not answered.
  bool operator==(const Encoder&) const = default;
};

// Who is asked for a request beside the engine: a service over HTTP, or an encoder here.
struct ProviderTarget {
  std::string name;
  std::string dialect = "openai";
  std::vector<std::string> base_urls;  // Each ends in /v1; several: servers that are alike.
  std::string key;                     // Resolved; empty sends no Authorization header.
  std::string key_source;              // "env:NAME" or "file:PATH", as written; empty: no key.
  std::vector<ServedModel> serves;
  std::string architecture;  // Of the models it serves: "qwen2"; empty: not said.
  Price price;
  Measured measured;
  ProviderTimeouts timeouts;
  Breaker breaker;
  RateLimit rate_limit;
  int concurrency_max = 256;
  std::string catalogued_as;  // Its name in the price catalogue; empty: its own.
  std::vector<std::string> endpoints = {"chat"};  // What it is asked for, names of Endpoint.
  std::vector<std::string> takes;                 // Names of Need; empty: all.
  std::vector<std::string> forward_fields;        // Beside those of its dialect; "*": all.
  std::string api_version;                        // Azure's; empty: none is sent.
  std::string continues = "no";  // How it is asked to go on with an answer begun elsewhere.
  std::string ca_file;           // Extra CA bundle; TLS verification itself cannot be switched off.
  std::string residency;         // Where its data stays: "eu"; empty: not said.
  double weight = 1.0;           // Of its turns, for `prefer: weighted`; 0: none.
  ProviderBatches batches;
  Encoder encoder;
  bool is_here() const { return !encoder.model_path.empty(); }
  bool operator==(const ProviderTarget&) const = default;
};

}  // namespace spillway::config
