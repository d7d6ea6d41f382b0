// The rows of `targets`: the local engine and the providers.
#include "config/schema.h"

namespace spillway::config {
namespace {

constexpr double kPriceMost = 1e13;      // 10,000 usd: sums of millions of answers stay numbers.
constexpr double kNodePriceMost = 1e17;  // 100,000,000 usd.
constexpr double kMillisecond = 1e6;
constexpr double kSecond = 1e9;
constexpr double kHour = 3600e9;
constexpr double kDay = 24 * kHour;
constexpr double kYear = 365 * kDay;
constexpr std::int64_t kNanosecondsPerMicrosecond = 1'000;

// `kind` tells a local target from a provider before any other row is read; it has no field.
template <class Owner>
Row<Owner> kind_row() {
  return {{.key = "kind",
           .kind = Kind::word,
           .words = {"local", "provider", "encoder"},
           .required = true,
           .sentence = "local: the engine on this machine. provider: a service over HTTP. encoder: "
                       "a model on this machine that makes embeddings."}};
}

const std::vector<Row<LocalTarget>> kLocalRows = {
    kind_row<LocalTarget>(),
    {{.key = "architecture",
      .kind = Kind::text,
      .fallback_sentence = "not said",
      .reload = Reload::restart,
      .sentence = "Of its model, as `architectures` of classes names it: qwen2."},
     field<&LocalTarget::architecture>()},
    {{.key = "executor",
      .kind = Kind::word,
      .words = {"torch", "cuda", "synthetic"},
      .reload = Reload::restart,
      .sentence = "torch runs the model on the CPU, cuda on the first GPU or GPUs, in bf16 (builds "
                  "with SPILLWAY_CUDA); synthetic answers filler at step_prior's pace, for "
                  "rehearsals."},
     field<&LocalTarget::executor>()},
    {{.key = "model",
      .kind = Kind::text,
      .fallback_sentence = "needed unless executor is synthetic",
      .reload = Reload::restart,
      .sentence = "A GGUF file, or a folder as Hugging Face publishes models (config.json, "
                  "safetensors, tokenizer.json), as seen from the working directory."},
     field<&LocalTarget::model_path>()},
    {{.key = "serves",
      .kind = Kind::served,
      .required = true,
      .sentence = "The model names that clients ask for to get this target."},
     field<&LocalTarget::serves>()},
    {{.key = "precision",
      .kind = Kind::word,
      .words = {"auto", "bf16", "fp32", "fp8", "int4", "int8"},
      .reload = Reload::restart,
      .sentence =
          "Of executor: torch. int8 (auto): the file's own 4 or 8 bits, by our kernels; bf16, "
          "fp32: "
          "by LibTorch's. Of executor: cuda, the layers' matrices, made at start of what the file "
          "has: bf16; fp8, int8: half the memory; int4, a scale for each 128 weights: a quarter; "
          "a folder's own four bits stay what they are. "
          "auto: int4 where a dense model's matrices are such already in a folder and there is "
          "one GPU, else bf16. "
          "fp8 is the fastest for many requests at once, int4 for few; int8 and int4 run "
          "on one GPU. `spillway quantize --report` says what each costs in memory and answers."},
     field<&LocalTarget::precision>()},
    {{.key = "kv_cache",
      .kind = Kind::word,
      .words = {"bf16", "fp8"},
      .reload = Reload::restart,
      .sentence =
          "Of executor: cuda, how keys and values are kept. fp8: in half the memory, with a "
          "scale for each head of a token, and read twice as fast; executor: torch keeps 16 "
          "bits."},
     field<&LocalTarget::kv_cache>()},
    {{.key = "generation_config",
      .kind = Kind::flag,
      .reload = Reload::restart,
      .sentence = "What a request leaves open of temperature, top_p, top_k, min_p and "
                  "repetition_penalty is as the model's generation_config.json says; false: as "
                  "OpenAI says."},
     field<&LocalTarget::generation_config>()},
    {{.key = "threads",
      .kind = Kind::count,
      .range = {0, 1024},
      .reload = Reload::restart,
      .sentence = "Threads of a forward pass of executor: torch; 0 is all cores."},
     field<&LocalTarget::threads>()},
    {{.key = "tensor_parallel",
      .kind = Kind::count,
      .range = {1, 8},
      .reload = Reload::restart,
      .sentence = "GPUs of this host that compute each layer together, for executor: cuda. The "
                  "model's query heads must be a multiple of it, and its key heads a multiple or a "
                  "divisor; latent rows (DeepSeek) have no key heads, and each GPU keeps them."},
     field<&LocalTarget::tensor_parallel>()},
    {{.key = "replicas",
      .kind = Kind::count,
      .range = {1, 8},
      .reload = Reload::restart,
      .sentence = "Engines that run the model side by side behind one queue, each with weights of "
                  "its own: of executor: torch on its share of the threads, of executor: cuda on "
                  "tensor_parallel GPUs of its own. sequences_max, step_tokens_max and "
                  "kv_tokens_max are of each; waiting_max is of all."},
     field<&LocalTarget::replicas>()},
    {{.key = "sequences_max",
      .kind = Kind::count,
      .range = {1, 4096},
      .reload = Reload::restart,
      .sentence = "Requests decoded together in one batch."},
     field<&LocalTarget::sequences_max>()},
    {{.key = "step_tokens_max",
      .kind = Kind::count,
      .range = {1, 65'536},
      .reload = Reload::restart,
      .sentence = "Tokens of one step; bounds how long a new prompt holds up running answers."},
     field<&LocalTarget::step_tokens_max>()},
    {{.key = "step_time_max",
      .kind = Kind::duration,
      .range = {0, 60e9},
      .fallback_sentence = "step_tokens_max alone counts",
      .reload = Reload::restart,
      .sentence = "Prompts are cut so that a step stays within this time: keep it below "
                  "sla.per_token."},
     field<&LocalTarget::step_time_max>()},
    {{.key = "kv_tokens_max",
      .kind = Kind::count,
      .range = {16, 100'000'000},
      .reload = Reload::restart,
      .sentence = "Tokens that the KV cache holds over all running requests."},
     field<&LocalTarget::kv_tokens_max>()},
    {{.key = "context_max",
      .kind = Kind::count,
      .range = {0, 10'000'000},
      .reload = Reload::restart,
      .sentence = "Longest prompt and answer together; 0 is the model's own limit."},
     field<&LocalTarget::context_max>()},
    {{.key = "prefix_cache",
      .kind = Kind::flag,
      .reload = Reload::restart,
      .sentence = "What a prompt has in common with earlier ones of the same tenant is not read "
                  "again, as long as the KV cache has room for it."},
     field<&LocalTarget::prefix_cache>()},
    {{.key = "speculation.drafts",
      .kind = Kind::count,
      .range = {0, 16},
      .reload = Reload::restart,
      .sentence = "Of executor: torch. So many tokens are guessed, where the end of an answer has "
                  "been said before in it or in its prompt, and checked in one step: the answer "
                  "stays what it is. Whoever guesses wrong too often stops; 0: nobody guesses."},
     field<&LocalTarget::speculation, &Speculation::drafts>()},
    {{.key = "speculation.longest",
      .kind = Kind::count,
      .range = {1, 16},
      .reload = Reload::restart,
      .sentence = "Tokens at the end of an answer that are looked for, at most."},
     field<&LocalTarget::speculation, &Speculation::longest>()},
    {{.key = "waiting_max",
      .kind = Kind::count,
      .range = {0, 100'000},
      .reload = Reload::restart,
      .sentence = "Requests that may wait for a place in the batch; the hard queue limit."},
     field<&LocalTarget::waiting_max>()},
    {{.key = "step_prior.base",
      .kind = Kind::duration,
      .range = {0, 60 * kSecond},
      .reload = Reload::restart,
      .sentence = "Guess at a step's fixed time, used until the first steps are measured."},
     duration_in<kNanosecondsPerMillisecond, &LocalTarget::step_prior, &StepPrior::base_ms>()},
    {{.key = "step_prior.per_sequence",
      .kind = Kind::duration,
      .range = {0, 60 * kSecond},
      .reload = Reload::restart,
      .sentence = "The same for each sequence that decodes in the step."},
     duration_in<kNanosecondsPerMillisecond, &LocalTarget::step_prior,
                 &StepPrior::per_sequence_ms>()},
    {{.key = "step_prior.per_context_token",
      .kind = Kind::duration,
      .range = {0, kSecond},
      .reload = Reload::restart,
      .sentence = "The same for each token that these sequences look back on."},
     duration_in<kNanosecondsPerMicrosecond, &LocalTarget::step_prior,
                 &StepPrior::per_context_token_us>()},
    {{.key = "step_prior.per_prefill_token",
      .kind = Kind::duration,
      .range = {0, kSecond},
      .reload = Reload::restart,
      .sentence = "The same for each prompt token worked on in the step."},
     duration_in<kNanosecondsPerMicrosecond, &LocalTarget::step_prior,
                 &StepPrior::per_prefill_token_us>()},
    {{.key = "synthetic_slowdown",
      .kind = Kind::decimal,
      .range = {0.01, 1'000},
      .reload = Reload::restart,
      .sentence = "executor: synthetic takes so many times its step_prior: a machine slower than "
                  "its profile."},
     field<&LocalTarget::synthetic_slowdown>()},
    {{.key = "isolation",
      .kind = Kind::word,
      .words = {"none", "process"},
      .reload = Reload::restart,
      .sentence =
          "none: the engine runs in this process, and takes it along if it crashes. process: in a "
          "process of its own, with all its replicas. When that dies (killed, out of memory, a "
          "fault of the GPU) the gateway goes on with the providers, running answers are continued "
          "there if `continues` lets them, and it is started again."},
     field<&LocalTarget::isolation>()},
    {{.key = "restart_after",
      .kind = Kind::duration,
      .range = {kMillisecond, kHour},
      .reload = Reload::restart,
      .sentence = "Of isolation: process. How long after its end the engine is started again; "
                  "twice as long each time that it does not last."},
     field<&LocalTarget::isolated, &Isolated::restart_after>()},
    {{.key = "restart_after_max",
      .kind = Kind::duration,
      .range = {kMillisecond, kHour},
      .reload = Reload::restart,
      .sentence = "The longest such pause. An engine that served for so long has lasted."},
     field<&LocalTarget::isolated, &Isolated::restart_after_max>()},
    {{.key = "hangs_after",
      .kind = Kind::duration,
      .range = {100 * kMillisecond, kHour},
      .reload = Reload::restart,
      .sentence = "Of isolation: process. An engine that has work and gives no sign of life for "
                  "so long is killed and started again, with its replicas, if it is one of "
                  "several: longer than its longest step."},
     field<&LocalTarget::isolated, &Isolated::hangs_after>()},
    {{.key = "cost_per_hour",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .sentence =
          "Rent, care, or all that it costs; for budgets and reports, it does not steer. What "
          "`node` says comes to it."},
     field<&LocalTarget::cost_per_hour>()},
    {{.key = "node.price",
      .kind = Kind::money,
      .range = {0, kNodePriceMost},
      .sentence = "Of the hardware, written off over node.lifetime."},
     field<&LocalTarget::node, &Machine::price>()},
    {{.key = "node.lifetime",
      .kind = Kind::duration,
      .range = {kDay, 20 * kYear},
      .sentence = "How long the hardware is used."},
     field<&LocalTarget::node, &Machine::lifetime>()},
    {{.key = "node.watts",
      .kind = Kind::decimal,
      .range = {0, 1e6},
      .sentence = "Power that it draws at full work."},
     field<&LocalTarget::node, &Machine::watts>()},
    {{.key = "node.idle_watts",
      .kind = Kind::decimal,
      .range = {0, 1e6},
      .sentence =
          "Power that it draws with nothing to do: `spillway report` counts idle hours at it."},
     field<&LocalTarget::node, &Machine::idle_watts>()},
    {{.key = "node.per_kwh",
      .kind = Kind::money,
      .range = {0, kPriceMost},
      .sentence = "What a kilowatt-hour costs."},
     field<&LocalTarget::node, &Machine::per_kwh>()},
};

const std::vector<Row<ProviderTarget>> kProviderRows = {
    kind_row<ProviderTarget>(),
    {{.key = "dialect",
      .kind = Kind::word,
      .words = {"openai", "anthropic", "azure", "deepseek", "gemini", "mistral", "ollama", "sglang",
                "vllm"},
      .sentence =
          "How the provider wants requests written: anthropic, as messages; all others as chat "
          "completions, each with its own ways."},
     field<&ProviderTarget::dialect>()},
    {{.key = "base_url",
      .kind = Kind::urls,
      .range = {1, 64},
      .required = true,
      .sentence = "Where its API begins; usually ends in /v1. A list: several servers that are "
                  "alike (vLLM, SGLang), one target for all that is said here but "
                  "concurrency_max, which is for each. A prompt goes to a server that has had its "
                  "beginning before, while that is no busier than 1.25 times the average; a server "
                  "that fails is gone round before another target is asked."},
     field<&ProviderTarget::base_urls>()},
    {{.key = "key",
      .kind = Kind::secret,
      .fallback_sentence = "no Authorization header",
      .sentence = "Our key there: env:NAME or file:PATH, never the key itself."},
     field<&ProviderTarget::key_source>()},
    {{.key = "serves",
      .kind = Kind::served,
      .required = true,
      .sentence = "The model names that clients ask for; `name: name at the provider` where "
                  "they differ."},
     field<&ProviderTarget::serves>()},
    {{.key = "architecture",
      .kind = Kind::text,
      .fallback_sentence = "not said",
      .sentence =
          "Of its models, as `architectures` of classes names it: qwen2. An answer that broke "
          "off is not gone on with by another architecture than began it, where both are "
          "said."},
     field<&ProviderTarget::architecture>()},
    {{.key = "residency",
      .kind = Kind::text,
      .fallback_sentence = "not said",
      .sentence = "Where what it is sent stays, in a word of your own such as eu: classes and keys "
                  "with a `residency` list go to no other place."},
     field<&ProviderTarget::residency>()},
};

// …and behind its prices.
const std::vector<Row<ProviderTarget>> kFurtherProviderRows = {
    {{.key = "catalogued_as",
      .kind = Kind::text,
      .fallback_sentence = "the target's own name",
      .sentence = "Its name in the `catalogue`, which gives its price and measurements where it "
                  "has none here."},
     field<&ProviderTarget::catalogued_as>()},
    {{.key = "measured.ttft_p50",
      .kind = Kind::duration,
      .range = {kMillisecond, kHour},
      .sentence = "Half of its first tokens come within this time; until measured here."},
     field<&ProviderTarget::measured, &Measured::ttft_p50>()},
    {{.key = "measured.ttft_p99",
      .kind = Kind::duration,
      .range = {kMillisecond, kHour},
      .sentence = "99 of 100 first tokens come within this time; until measured here."},
     field<&ProviderTarget::measured, &Measured::ttft_p99>()},
    {{.key = "measured.tokens_per_second",
      .kind = Kind::decimal,
      .range = {0.1, 100'000},
      .sentence = "Rate of one answer after its first token; until measured here."},
     field<&ProviderTarget::measured, &Measured::tokens_per_second>()},
    {{.key = "measured.quality",
      .kind = Kind::decimal,
      .range = {0, 1},
      .sentence = "A score for its answers, on one scale for all targets, e.g. BLEU."},
     field<&ProviderTarget::measured, &Measured::quality>()},
    {{.key = "timeouts.connect",
      .kind = Kind::duration,
      .range = {kMillisecond, kHour},
      .sentence = "For the connection, with TLS."},
     field<&ProviderTarget::timeouts, &ProviderTimeouts::connect>()},
    {{.key = "timeouts.first_token",
      .kind = Kind::duration,
      .range = {kMillisecond, kHour},
      .sentence = "From the request to its first token; then the next target is tried. Where none "
                  "is left, its silence "
                  "is borne until timeouts.total or the request's deadline."},
     field<&ProviderTarget::timeouts, &ProviderTimeouts::first_token>()},
    {{.key = "timeouts.between_tokens",
      .kind = Kind::duration,
      .range = {kMillisecond, kHour},
      .sentence = "Longest silence inside an answer; a comment or a ping breaks it."},
     field<&ProviderTarget::timeouts, &ProviderTimeouts::between_tokens>()},
    {{.key = "timeouts.total",
      .kind = Kind::duration,
      .range = {kMillisecond, 24 * kHour},
      .sentence = "For the whole answer."},
     field<&ProviderTarget::timeouts, &ProviderTimeouts::total>()},
    {{.key = "breaker.window",
      .kind = Kind::count,
      .range = {1, 10'000},
      .sentence = "Attempts looked back on."},
     field<&ProviderTarget::breaker, &Breaker::window>()},
    {{.key = "breaker.failure_share_max",
      .kind = Kind::decimal,
      .range = {0.01, 1},
      .sentence = "At this share of failures the target is left alone…"},
     field<&ProviderTarget::breaker, &Breaker::failure_share_max>()},
    {{.key = "breaker.failures_min",
      .kind = Kind::count,
      .range = {1, 10'000},
      .sentence = "…once so many are in the window."},
     field<&ProviderTarget::breaker, &Breaker::failures_min>()},
    {{.key = "breaker.open_for",
      .kind = Kind::duration,
      .range = {kMillisecond, kHour},
      .sentence = "How long it is left alone before one probe is let through."},
     field<&ProviderTarget::breaker, &Breaker::open_for>()},
    {{.key = "breaker.account_pause",
      .kind = Kind::duration,
      .range = {kMillisecond, kHour},
      .sentence =
          "The same, at once, when it refuses the gateway's account (401, 402, no credit)."},
     field<&ProviderTarget::breaker, &Breaker::account_pause>()},
    {{.key = "rate_limit.requests_per_minute",
      .kind = Kind::count,
      .range = {0, 100'000'000},
      .fallback_sentence = "unknown",
      .sentence = "What the account allows: work that may wait is sent in time for it."},
     field<&ProviderTarget::rate_limit, &RateLimit::requests_per_minute>()},
    {{.key = "rate_limit.tokens_per_minute",
      .kind = Kind::count,
      .range = {0, 2'000'000'000},
      .fallback_sentence = "unknown",
      .sentence = "The same for prompt and completion tokens."},
     field<&ProviderTarget::rate_limit, &RateLimit::tokens_per_minute>()},
    {{.key = "concurrency_max",
      .kind = Kind::count,
      .range = {1, 100'000},
      .sentence = "Requests open there at once, at each server; a quarter is not for who can wait: "
                  "flex, batches, "
                  "and classes "
                  "that are cheapest_before_deadline."},
     field<&ProviderTarget::concurrency_max>()},
    {{.key = "weight",
      .kind = Kind::decimal,
      .range = {0, 1'000'000},
      .sentence = "For classes with `prefer: weighted`: of requests that several can have in time "
                  "it is the first that is asked for this share, beside the others' weights. 0: "
                  "only where those fail, or are late."},
     field<&ProviderTarget::weight>()},
    {{.key = "endpoints",
      .kind = Kind::names,
      .words = {"chat", "completions", "embeddings", "moderations", "rerank"},
      .sentence = "What its models are asked for here."},
     field<&ProviderTarget::endpoints>()},
    {{.key = "takes",
      .kind = Kind::names,
      .words = {"tools", "formats", "images", "audio", "files", "logprobs", "logit_bias", "choices",
                "echo", "infill", "guided", "sampling", "search", "prefix", "thinking", "server",
                "moderation"},
      .fallback_sentence = "all that its dialect is known for",
      .sentence = "What it can do beside text for text; other requests go elsewhere."},
     field<&ProviderTarget::takes>()},
    {{.key = "forward_fields",
      .kind = Kind::names,
      .fallback_sentence = "those of the dialect alone",
      .sentence = "Further top-level fields of a request that it gets as they are; \"*\": all."},
     field<&ProviderTarget::forward_fields>()},
    {{.key = "api_version",
      .kind = Kind::text,
      .fallback_sentence = "none: its paths name no deployment",
      .sentence = "dialect: azure. Sent as api-version to /openai/deployments/MODEL."},
     field<&ProviderTarget::api_version>()},
    {{.key = "continues",
      .kind = Kind::word,
      .words = {"no", "prefix", "continue_final_message"},
      .sentence = "How it is asked to go on with an answer that broke off elsewhere: `prefix` "
                  "(DeepSeek, Mistral), `continue_final_message` (vLLM, SGLang)."},
     field<&ProviderTarget::continues>()},
    {{.key = "ca_file",
      .kind = Kind::text,
      .fallback_sentence = "the system's certificates",
      .sentence =
          "Certificates to trust besides; a renewed file is read within ten seconds. Verification "
          "itself cannot be switched off."},
     field<&ProviderTarget::ca_file>()},
    {{.key = "batches.enabled",
      .kind = Kind::flag,
      .sentence = "dialect: openai. Lines of batches that the engine will not get to are handed to "
                  "the provider's own batches API, and booked with `batch_discount`."},
     field<&ProviderTarget::batches, &ProviderBatches::enabled>()},
    {{.key = "batches.window",
      .kind = Kind::duration,
      .range = {kSecond, 24 * kHour},
      .sentence =
          "In which its answers are reckoned with. It is told 24h in any case, and asked to "
          "end when the lines that it has not answered must be asked for one by one."},
     field<&ProviderTarget::batches, &ProviderBatches::window>()},
    {{.key = "batches.poll",
      .kind = Kind::duration,
      .range = {10 * kMillisecond, kHour},
      .sentence = "How often it is asked how far it is."},
     field<&ProviderTarget::batches, &ProviderBatches::poll>()},
    {{.key = "batches.lines_min",
      .kind = Kind::count,
      .range = {1, 50'000},
      .sentence = "Of fewer lines none is made."},
     field<&ProviderTarget::batches, &ProviderBatches::lines_min>()},
};

}  // namespace

const std::vector<Row<LocalTarget>>& local_rows() { return kLocalRows; }
const std::vector<Row<ProviderTarget>>& provider_rows() {
  static const std::vector<Row<ProviderTarget>> kAll = [] {
    std::vector<Row<ProviderTarget>> all = kProviderRows;
    all.insert(all.end(), price_rows().begin(), price_rows().end());
    all.insert(all.end(), kFurtherProviderRows.begin(), kFurtherProviderRows.end());
    return all;
  }();
  return kAll;
}

}  // namespace spillway::config
