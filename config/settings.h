// What an operator may say, as plain structs without behaviour. One immutable Settings per loaded
// file, shared by `std::shared_ptr<const Settings>`; each request pins the one it started under.
// Durations are std::chrono, sizes bytes, money integer nano-USD (1 USD = 1'000'000'000), shares
// 0..1. config/load.h makes it from YAML; config/schema.cpp has one row per key with its range
// and sentence, and takes the default from here.
#pragma once

#include "config/price.h"
#include "config/settings_policy.h"
#include "config/settings_targets.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::config {

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
  std::string secret;                  // Resolved from `secret_source`.
  std::string secret_source;           // "env:NAME" or "file:PATH", as written.
  std::string tenant;                  // For cost metrics and logs.
  std::string default_class;           // Empty: the class rules decide.
  std::vector<std::string> classes;    // Those its x-spillway-class header may name; empty: any.
  bool local_only = false;             // Its requests never leave the machine.
  std::string project;                 // What its costs are for, in reports.
  std::vector<std::string> models;     // Those it may ask for; empty: any.
  std::vector<std::string> scopes;     // What it may call: "chat", "files"; empty: everything.
  std::vector<std::string> residency;  // Where its data may go from here; empty: anywhere.
  Limits limits;
  Budget budget;
  bool operator==(const Key&) const = default;
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

// A policy that all keys have is taken back when its promises are kept worse than before it.
struct Rollback {
  bool enabled = true;
  Milliseconds watch{600'000};  // After a reload, this long.
  int requests_min = 100;       // Before and after, before anything is concluded.
  double attainment_loss_max = 0.05;
  double error_rise_max = 0.05;
  bool operator==(const Rollback&) const = default;
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
  Rollback rollback;
  Log log;
  Origins origins;
  std::string source;  // Path it was read from.
  std::string sha256;  // Of its bytes and its catalogue's: /config, spillway_config_version_info.
  bool operator==(const Settings&) const = default;
};

}  // namespace spillway::config
