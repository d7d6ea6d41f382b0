// What an operator may say, as plain structs without behaviour. One immutable Settings per loaded
// file, shared by `std::shared_ptr<const Settings>`; each request pins the one it started under.
// Durations are std::chrono, sizes bytes, money integer nano-USD (1 USD = 1'000'000'000), shares
// 0..1. config/load.h makes it from YAML; config/schema.cpp has one row per key with its range
// and sentence, and takes the default from here.
#pragma once

#include "config/language/program.h"
#include "config/price.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::config {

using Milliseconds = std::chrono::milliseconds;

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;  // 0: the system chooses; the gateway prints what it got.
  bool operator==(const Endpoint&) const = default;
};

struct ServerLimits {
  std::int64_t body_bytes_max = 32LL << 20;
  int header_bytes_max = 64 << 10;
  int connections_max = 4096;
  int in_flight_max = 1024;             // Requests being answered at once, all classes.
  Milliseconds header_timeout{10'000};  // From a request's first byte to the end of its headers.
  Milliseconds body_timeout{60'000};
  Milliseconds idle_timeout{75'000};   // A kept-alive connection without a request.
  Milliseconds write_timeout{30'000};  // A client that does not read for so long is a slow client.
  Milliseconds keep_alive{15'000};     // A stream that has been silent so long gets a comment.
  int held_max = 512;                  // Requests that may wait, held at once; more leave at once.
  Milliseconds request_timeout{600'000};  // The deadline of a request whose class has none.
  bool operator==(const ServerLimits&) const = default;
};

struct Server {
  Endpoint listen;        // The OpenAI-compatible API.
  Endpoint admin;         // /livez /readyz /metrics /config
  int workers = 0;        // Threads that serve connections; 0: one per two cores, at least one.
  std::string state;      // Directory of what survives a restart; empty: a temporary one.
  std::string admin_key;  // Resolved from its source; empty: whoever reaches `admin` reads.
  std::string admin_key_source;              // "env:NAME" or "file:PATH", as written.
  std::vector<std::string> cors_origins;     // "https://chat.example", or "*": all.
  std::string unknown_fields = "leave_out";  // Or "refuse": who is not told them is not asked.
  Milliseconds drain{30'000};                // On SIGTERM, how long running streams may go on.
  ServerLimits limits;
  bool operator==(const Server&) const = default;
};

// What somebody may use. 0, which nobody can write: as much as there is.
struct Limits {
  int requests_per_minute = 0;
  int tokens_per_minute = 0;  // Prompt and completion.
  int concurrency = 0;        // Requests at once.
  bool operator==(const Limits&) const = default;
};

// What somebody may spend, in days and months of UTC.
struct Budget {
  std::optional<NanoUsd> day;
  std::optional<NanoUsd> month;
  double warn_at = 0.8;  // The share from which answers carry a warning.
  bool hard = false;     // Never past the limit, even if a stream has to be cut for it.

  bool limited() const { return day || month; }
  bool operator==(const Budget&) const = default;
};

// Who pays: keys belong to tenants.
struct Tenant {
  std::string name;
  Limits limits;
  Budget budget;
  bool operator==(const Tenant&) const = default;
};

// What all callers together may use of one model.
struct ModelLimits {
  std::string name;  // As clients ask for it.
  Limits limits;
  bool operator==(const ModelLimits&) const = default;
};

// The book of what was used and what it cost.
struct Ledger {
  bool enabled = true;
  std::string postgres;         // Resolved: a connection string; empty: SQLite in server.state.
  std::string postgres_source;  // "env:NAME" or "file:PATH", as written.
  std::string on_failure = "fail_closed";  // While it cannot be written: fail_closed | local_only
  bool operator==(const Ledger&) const = default;
};

// What the responses protocol keeps.
struct Responses {
  Milliseconds ttl{std::chrono::hours(30 * 24)};
  std::int64_t size_max = 1LL << 30;  // Bytes.
  bool operator==(const Responses&) const = default;
};

// What clients may store: bytes, and a tenant's files and parts.
struct Files {
  std::int64_t file_max = 512LL << 20;
  std::int64_t batch_input_max = 200LL << 20;
  std::int64_t tenant_max = 10LL << 30;
  int tenant_files_max = 100'000;
  int tenant_parts_max = 20'000;
  bool operator==(const Files&) const = default;
};

// What is kept for those who ask again under the same idempotency key.
struct Idempotency {
  Milliseconds keep{24 * 3'600'000};
  std::int64_t bytes_max = 64LL << 20;  // All answers together.
  bool operator==(const Idempotency&) const = default;
};

// How the lines of batches are run.
struct Batches {
  std::string request_class;            // Empty: as each line's own words have it.
  int concurrency = 32;                 // Lines at once, all batches together.
  int pending_max = 100;                // Batches of a tenant that have not ended.
  Milliseconds window{24 * 3'600'000};  // A batch's time, whatever window its client names.
  bool operator==(const Batches&) const = default;
};

// A client's key. The secret is read from its source at load; `spillway check` never prints it.
struct Key {
  std::string name;
  std::string secret;                // Resolved from `secret_source`.
  std::string secret_source;         // "env:NAME" or "file:PATH", as written.
  std::string tenant;                // For cost metrics and logs.
  std::string default_class;         // Empty: the class rules decide.
  std::vector<std::string> classes;  // Those its x-spillway-class header may name; empty: any.
  bool local_only = false;           // Its requests never leave the machine.
  std::string project;               // What its costs are for, in reports.
  std::vector<std::string> models;   // Those it may ask for; empty: any.
  std::vector<std::string> scopes;   // What it may call: "chat", "files"; empty: everything.
  Limits limits;
  Budget budget;
  bool operator==(const Key&) const = default;
};

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
  Encoder encoder;
  bool is_here() const { return !encoder.model_path.empty(); }
  bool operator==(const ProviderTarget&) const = default;
};

struct Sla {
  std::optional<Milliseconds> ttft;
  std::optional<Milliseconds> per_token;
  std::optional<Milliseconds> deadline;
  bool operator==(const Sla&) const = default;
};

enum class Spill {
  never,             // Stays local.
  when_sla_at_risk,  // Local while its predicted TTFT and time per token meet the SLA.
  // Held until the engine has room to spare; to a provider just in time for its deadline.
  cheapest_before_deadline,
  always,  // To providers; local only when none of them can take it and the class allows it.
};

enum class Prefer { cheapest, fastest, ordered };

// A second target is asked while the first is still silent; who says the first word answers.
struct Hedge {
  bool enabled = false;
  std::optional<Milliseconds> after;  // Of silence; empty: the first target's own P95 of late.
  double spend_share_max = 0.05;      // Of what the class spends, for answers that nobody got.
  bool operator==(const Hedge&) const = default;
};

// How far what is measured may move a class's ttft_headroom and promise_price_max
// (gateway/policy/feedback.h).
struct Feedback {
  bool enabled = false;
  double headroom_min = 0.8;
  double headroom_max = 1.0;
  std::optional<NanoUsd> spend_per_hour_max;  // At providers; empty: no limit.
  double attainment_min = 0.95;  // Of first tokens in time, before less is spent on them.
  bool operator==(const Feedback&) const = default;
};

// Who belongs to a class: any given matcher that does not fit rules it out; a class without
// matchers is never matched by rules, only named by a key, the x-spillway-class header or
// `default_class`.
struct ClassMatch {
  std::vector<std::string> keys;
  std::vector<std::string> service_tiers;
  std::vector<std::string> models;
  std::vector<std::string> endpoints;  // "/v1/chat/completions"
  bool operator==(const ClassMatch&) const = default;
};

struct RequestClass {
  std::string name;
  std::vector<ClassMatch> match;  // Any of them.
  bool by_name = false;           // `match: by_name`: without matchers on purpose.
  Sla sla;
  Spill spill = Spill::when_sla_at_risk;
  Prefer prefer = Prefer::cheapest;
  std::vector<std::string> providers;  // Who may take it, in rank order for `ordered`; empty: all.
  double ttft_headroom = 0.9;          // Local only if predicted TTFT ≤ headroom × SLA.
  bool local_as_last_resort = true;    // When no provider can take it.
  std::optional<NanoUsd> promise_price_max;  // The most to pay for one promise that is kept.
  std::optional<NanoUsd> price_max;          // Dearer providers are not asked for a request of it,
  std::vector<std::string> architectures;    // …nor any of another architecture; empty: of any.
  Hedge hedge;
  Feedback feedback;

  bool takes_architecture(std::string_view architecture) const {
    return architectures.empty() || std::find(architectures.begin(), architectures.end(),
                                              architecture) != architectures.end();
  }
  bool uses(std::string_view provider) const {
    return providers.empty() ||
           std::find(providers.begin(), providers.end(), provider) != providers.end();
  }
  bool operator==(const RequestClass&) const = default;
};

// A model name that clients ask for and that the policy resolves: every target may serve it.
struct Alias {
  std::string name;  // "auto"
  std::map<std::string, std::string>
      model_on;  // target → the target's served model name; empty: its first.
  bool operator==(const Alias&) const = default;
};

// Where something stands in the file; no part of what it says.
struct Origin {
  int line = 0;  // From 1; 0: unknown.
  int column = 0;
  bool operator==(const Origin&) const { return true; }
};

enum class RouteKind {
  target,      // Rule::route names it; the others behind it.
  local,       // The local target, the providers behind it.
  local_only,  // The local target or nobody.
  cloud,       // Providers, as the class prefers.
  cheapest,
  cheapest_meeting_sla,
  fastest,
  by_class,  // `route: class`: as if there were no rules.
  refuse,
};

// Looked at before the class decides; the first whose condition holds does.
struct Rule {
  std::string name;           // As given, else rule-N.
  std::string condition;      // As written; empty: always.
  language::Program program;  // …compiled.
  std::string route;          // As written.
  RouteKind kind = RouteKind::by_class;
  std::vector<std::string> among;    // Targets to choose from; empty: all providers.
  std::optional<NanoUsd> max_price;  // Of the request.
  std::string message;               // Of `refuse`.
  Origin at;
  bool operator==(const Rule&) const = default;
};

// A fact that a policy's test gives, in the canonical unit of its type.
struct GivenFact {
  language::FactRef fact;
  double number = 0.0;
  std::string text;  // Texts as they are; all others as written.
  Origin at;
  bool operator==(const GivenFact&) const = default;
};

// What the policy should make of a situation; what is empty is not looked at.
struct PolicyTest {
  std::string name;  // As given, else test-N.
  std::vector<GivenFact> given;
  std::string route;  // A target, `held` or `refused`.
  std::string reason;
  std::string rule;  // Its name, or `none`.
  Origin at;         // Of what is expected.
  bool operator==(const PolicyTest&) const = default;
};

struct Policy {
  std::vector<RequestClass> classes;  // First match wins.
  std::vector<Rule> rules;            // First match wins.
  std::vector<PolicyTest> tests;
  std::string default_class;
  std::vector<Alias> aliases;
  int attempts_max = 4;  // Targets tried for one request before its first token.
  bool operator==(const Policy&) const = default;
};

struct Log {
  std::string level = "info";  // debug | info | warn | error
  bool operator==(const Log&) const = default;
};

// A reload is refused where the last decisions come to worse than this under it. All shares 0..1,
// but for the growth.
struct Guard {
  double stranded_max = 0.0;          // Went somewhere, and could go nowhere.
  double spend_growth_max = 0.5;      // 0.5: half as much again.
  double attainment_loss_max = 0.05;  // Of the promises in force.
  int decisions_min = 50;             // Of fewer, spend and attainment say nothing.
  bool operator==(const Guard&) const = default;
};

// A policy that decides beside the one in force, of which nothing comes but a comparison.
struct Shadow {
  std::string policy;  // Path of a configuration, as written; empty: none.
  bool operator==(const Shadow&) const = default;
};

// A new policy is tried on some keys first.
struct Canary {
  double share = 0.0;      // Of the keys; 0: a reload is for everybody at once.
  int requests_min = 100;  // On each side, before anything is concluded.
  double attainment_loss_max = 0.05;
  double error_rise_max = 0.05;
  Milliseconds promote_after{0};  // 0: by an operator only.
  bool operator==(const Canary&) const = default;
};

// Of the file itself; no part of what it says.
struct Origins {
  std::map<std::string, int> lines;  // Dotted path → line, of every key that it gives.
  bool operator==(const Origins&) const { return true; }
};

struct Settings {
  Server server;
  std::vector<Key> keys;        // Empty: every caller is accepted as tenant "anonymous".
  std::vector<Tenant> tenants;  // Those with limits or budgets of their own.
  std::vector<ModelLimits> model_limits;
  Ledger ledger;
  std::string catalogue;  // Path of the price catalogue, as written; empty: there is none.
  Files files;
  Responses responses;
  Batches batch;
  Idempotency idempotency;
  std::vector<LocalTarget> local;  // At most one for now.
  std::vector<ProviderTarget> providers;
  Policy policy;
  Guard guard;
  Shadow shadow;
  Canary canary;
  Log log;
  Origins origins;
  std::string source;  // Path it was read from.
  std::string sha256;  // Of its bytes and its catalogue's: /config, spillway_config_version_info.
  bool operator==(const Settings&) const = default;
};

}  // namespace spillway::config
