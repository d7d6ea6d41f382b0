#include "config/schema.h"

#include <array>
#include <tuple>
#include <utility>

namespace spillway::config {
namespace {

constexpr double kMillisecond = 1e6;
constexpr double kSecond = 1e9;
constexpr double kHour = 3600e9;
constexpr double kKiB = 1 << 10;
constexpr double kMiB = 1 << 20;

constexpr std::array<std::pair<Spill, std::string_view>, 3> kSpills{{
    {Spill::never, "never"},
    {Spill::when_sla_at_risk, "when_sla_at_risk"},
    {Spill::always, "always"},
}};
constexpr std::array<std::pair<Prefer, std::string_view>, 3> kPrefers{{
    {Prefer::cheapest, "cheapest"},
    {Prefer::fastest, "fastest"},
    {Prefer::ordered, "ordered"},
}};

template <class Enum, std::size_t N>
std::string_view name_in(const std::array<std::pair<Enum, std::string_view>, N>& table, Enum one) {
  for (const auto& [value, name] : table) {
    if (value == one) return name;
  }
  return "";
}

template <class Enum, std::size_t N>
Enum named(const std::array<std::pair<Enum, std::string_view>, N>& table, const Value& value) {
  for (const auto& [one, name] : table) {
    if (name == std::get<std::string>(value)) return one;
  }
  return table.front().first;  // Not reached: rows accept their words alone.
}

template <class Enum, std::size_t N>
Names words_of(const std::array<std::pair<Enum, std::string_view>, N>& table) {
  Names words;
  for (const auto& [value, name] : table) words.emplace_back(name);
  return words;
}

// The rows as the reference shows them: with the default that a fresh struct holds.
template <class Owner>
std::vector<RowText> texts(const std::vector<Row<Owner>>& rows,
                           std::vector<std::string>& defaults) {
  const Owner fresh{};
  std::vector<RowText> out;
  for (const Row<Owner>& row : rows) {
    RowText text = row.text;
    const bool has_default = row.field.get != nullptr && !text.required && text.fallback.empty() &&
                             text.fallback_sentence.empty();
    if (has_default) {
      defaults.push_back(format_value(text.kind, row.field.get(fresh)));
      text.fallback = defaults.back();
    }
    out.push_back(std::move(text));
  }
  return out;
}

}  // namespace

Value to_value(const Endpoint& field) {
  const bool ipv6 = field.host.find(':') != std::string::npos;
  const std::string host = ipv6 ? "[" + field.host + "]" : field.host;
  return host + ":" + std::to_string(field.port);
}

Value to_value(const std::vector<ServedModel>& field) {
  Pairs pairs;
  for (const ServedModel& model : field) pairs.emplace_back(model.name, model.upstream);
  return pairs;
}

Value to_value(Spill field) { return std::string(name_of(field)); }
Value to_value(Prefer field) { return std::string(name_of(field)); }

void assign(Endpoint& field, const Value& value) {
  std::tie(field.host, field.port) = split_endpoint(std::get<std::string>(value));
}

void assign(std::vector<ServedModel>& field, const Value& value) {
  field.clear();
  for (const auto& [name, upstream] : std::get<Pairs>(value)) field.push_back({name, upstream});
}

void assign(Spill& field, const Value& value) { field = named(kSpills, value); }
void assign(Prefer& field, const Value& value) { field = named(kPrefers, value); }

std::string_view name_of(Spill spill) { return name_in(kSpills, spill); }
std::string_view name_of(Prefer prefer) { return name_in(kPrefers, prefer); }

const std::vector<Row<Settings>>& settings_rows() {
  static const std::vector<Row<Settings>> rows = {
      {{.key = "server.listen",
        .kind = Kind::endpoint,
        .fallback = "127.0.0.1:8080",
        .reload = Reload::restart,
        .sentence = "Where the OpenAI-compatible API listens. Port 0 lets the system choose."},
       field<&Settings::server, &Server::listen>()},
      {{.key = "server.admin",
        .kind = Kind::endpoint,
        .fallback = "127.0.0.1:9090",
        .reload = Reload::restart,
        .sentence = "Where /livez, /readyz, /metrics and /config listen; keep it off the network."},
       field<&Settings::server, &Server::admin>()},
      {{.key = "server.workers",
        .kind = Kind::count,
        .range = {0, 256},
        .reload = Reload::restart,
        .sentence = "Threads that serve connections; 0 is one per two cores, at least one."},
       field<&Settings::server, &Server::workers>()},
      {{.key = "server.drain",
        .kind = Kind::duration,
        .range = {0, kHour},
        .sentence = "How long running answers may go on after SIGTERM."},
       field<&Settings::server, &Server::drain>()},
      {{.key = "server.connections_max",
        .kind = Kind::count,
        .range = {1, 1'000'000},
        .reload = Reload::restart,
        .sentence = "Open client connections; more are refused."},
       field<&Settings::server, &Server::limits, &ServerLimits::connections_max>()},
      {{.key = "server.body_max",
        .kind = Kind::bytes,
        .range = {kKiB, 1024 * kMiB},
        .reload = Reload::restart,
        .sentence = "Largest request body; a larger one is answered with 413."},
       field<&Settings::server, &Server::limits, &ServerLimits::body_bytes_max>()},
      {{.key = "server.headers_max",
        .kind = Kind::bytes,
        .range = {kKiB, kMiB},
        .reload = Reload::restart,
        .sentence = "Largest request head; a larger one is answered with 431."},
       field<&Settings::server, &Server::limits, &ServerLimits::header_bytes_max>()},
      {{.key = "server.header_timeout",
        .kind = Kind::duration,
        .range = {kMillisecond, kHour},
        .reload = Reload::restart,
        .sentence = "From the first byte of a request to the end of its headers."},
       field<&Settings::server, &Server::limits, &ServerLimits::header_timeout>()},
      {{.key = "server.body_timeout",
        .kind = Kind::duration,
        .range = {kMillisecond, kHour},
        .reload = Reload::restart,
        .sentence = "For the whole body of a request to arrive."},
       field<&Settings::server, &Server::limits, &ServerLimits::body_timeout>()},
      {{.key = "server.idle_timeout",
        .kind = Kind::duration,
        .range = {kMillisecond, kHour},
        .reload = Reload::restart,
        .sentence = "How long a kept-alive connection may stay without a request."},
       field<&Settings::server, &Server::limits, &ServerLimits::idle_timeout>()},
      {{.key = "server.write_timeout",
        .kind = Kind::duration,
        .range = {kMillisecond, kHour},
        .reload = Reload::restart,
        .sentence = "A client that reads nothing for so long loses its stream."},
       field<&Settings::server, &Server::limits, &ServerLimits::write_timeout>()},
      {{.key = "limits.in_flight_max",
        .kind = Kind::count,
        .range = {1, 1'000'000},
        .sentence = "Requests being answered at once, all classes; more get 503 with retry-after."},
       field<&Settings::server, &Server::limits, &ServerLimits::in_flight_max>()},
      {{.key = "limits.request_timeout",
        .kind = Kind::duration,
        .range = {kMillisecond, 24 * kHour},
        .sentence = "The deadline of a request whose class has none."},
       field<&Settings::server, &Server::limits, &ServerLimits::request_timeout>()},
      {{.key = "limits.attempts_max",
        .kind = Kind::count,
        .range = {1, 20},
        .sentence = "Targets tried for one request before its first token."},
       field<&Settings::policy, &Policy::attempts_max>()},
      {{.key = "keys",
        .kind = Kind::block,
        .fallback_sentence = "every caller is accepted as `anonymous`",
        .sentence = "Client keys by name."}},
      {{.key = "targets",
        .kind = Kind::block,
        .required = true,
        .sentence = "Who can answer, by name: the local engine and the providers."}},
      {{.key = "models",
        .kind = Kind::block,
        .fallback_sentence = "none",
        .sentence = "Names that clients may ask for besides those that targets serve. `auto: "
                    "policy` lets the policy choose the target; a block `target: model` does too, "
                    "and says which of its models a target answers with (else its first)."}},
      {{.key = "classes",
        .kind = Kind::block,
        .fallback_sentence = "one class `default`",
        .sentence = "Kinds of requests by name, each with its promise. The first whose `match` "
                    "fits takes the request."}},
      {{.key = "default_class",
        .kind = Kind::text,
        .fallback_sentence = "the only class, where there is one",
        .sentence = "The class of a request that no key, header or matcher puts elsewhere."},
       field<&Settings::policy, &Policy::default_class>()},
      {{.key = "log.level",
        .kind = Kind::word,
        .words = {"debug", "info", "warn", "error"},
        .sentence = "What is worth a log line."},
       field<&Settings::log, &Log::level>()},
  };
  return rows;
}

const std::vector<Row<Key>>& key_rows() {
  static const std::vector<Row<Key>> rows = {
      {{.key = "secret",
        .kind = Kind::secret,
        .required = true,
        .sentence = "What the client sends as its API key: env:NAME or file:PATH, never the key."},
       field<&Key::secret_source>()},
      {{.key = "tenant",
        .kind = Kind::text,
        .fallback_sentence = "the key's name",
        .sentence = "Who is charged in cost metrics and logs."},
       field<&Key::tenant>()},
      {{.key = "class",
        .kind = Kind::text,
        .fallback_sentence = "the matchers of the classes decide",
        .sentence = "The class of this key's requests that name none themselves."},
       field<&Key::default_class>()},
      {{.key = "may_name",
        .kind = Kind::names,
        .fallback_sentence = "all classes",
        .sentence = "The classes that this key's x-spillway-class header may name."},
       field<&Key::classes>()},
      {{.key = "local_only",
        .kind = Kind::flag,
        .sentence = "This key's requests never leave the machine, whatever their class says."},
       field<&Key::local_only>()},
  };
  return rows;
}

const std::vector<Row<RequestClass>>& class_rows() {
  static const std::vector<Row<RequestClass>> rows = {
      {{.key = "match",
        .kind = Kind::block,
        .fallback_sentence = "matched by nothing",
        .sentence = "Who belongs to the class: one block of matchers, a list of them (any), or the "
                    "word by_name: only who names the class, by key or x-spillway-class header."}},
      {{.key = "sla.ttft",
        .kind = Kind::duration,
        .range = {kMillisecond, kHour},
        .fallback_sentence = "no promise",
        .sentence = "The first token is out within this time."},
       field<&RequestClass::sla, &Sla::ttft>()},
      {{.key = "sla.per_token",
        .kind = Kind::duration,
        .range = {kMillisecond, 60 * kSecond},
        .fallback_sentence = "no promise",
        .sentence = "Mean time of each token after the first."},
       field<&RequestClass::sla, &Sla::per_token>()},
      {{.key = "sla.deadline",
        .kind = Kind::duration,
        .range = {kMillisecond, 24 * kHour},
        .fallback_sentence = "limits.request_timeout",
        .sentence = "The whole answer is out within this time, or the request ends with 504."},
       field<&RequestClass::sla, &Sla::deadline>()},
      {{.key = "spill",
        .kind = Kind::word,
        .words = words_of(kSpills),
        .sentence = "never: stays on this machine. when_sla_at_risk: local while the predicted "
                    "times meet the SLA. always: to providers."},
       field<&RequestClass::spill>()},
      {{.key = "prefer",
        .kind = Kind::word,
        .words = words_of(kPrefers),
        .sentence = "Which provider comes first among those that can meet the SLA: the cheapest, "
                    "the fastest, or in the order of `providers`."},
       field<&RequestClass::prefer>()},
      {{.key = "providers",
        .kind = Kind::names,
        .fallback_sentence = "all providers",
        .sentence = "Who may take the class's requests; the order counts for `prefer: ordered`."},
       field<&RequestClass::providers>()},
      {{.key = "ttft_headroom",
        .kind = Kind::decimal,
        .range = {0.01, 1},
        .sentence = "Local only while the predicted first token comes within this share of "
                    "sla.ttft."},
       field<&RequestClass::ttft_headroom>()},
      {{.key = "local_as_last_resort",
        .kind = Kind::flag,
        .sentence = "When no provider can take a request, the local target does, SLA or not."},
       field<&RequestClass::local_as_last_resort>()},
  };
  return rows;
}

const std::vector<Row<ClassMatch>>& match_rows() {
  static const std::vector<Row<ClassMatch>> rows = {
      {{.key = "key",
        .kind = Kind::names,
        .fallback_sentence = "any",
        .sentence = "Names under `keys`; the caller's is one of them."},
       field<&ClassMatch::keys>()},
      {{.key = "service_tier",
        .kind = Kind::names,
        .fallback_sentence = "any",
        .sentence = "The request's service_tier: auto, default, flex, priority, fast…"},
       field<&ClassMatch::service_tiers>()},
      {{.key = "model",
        .kind = Kind::names,
        .fallback_sentence = "any",
        .sentence = "The model or alias that is asked for."},
       field<&ClassMatch::models>()},
      {{.key = "endpoint",
        .kind = Kind::names,
        .fallback_sentence = "any",
        .sentence = "The path of the request, e.g. /v1/chat/completions."},
       field<&ClassMatch::endpoints>()},
  };
  return rows;
}

std::vector<Section> sections() {
  static std::vector<std::string> defaults;  // Keeps the texts that the views look at.
  static const std::vector<Section> all = [] {
    defaults.reserve(256);
    return std::vector<Section>{
        {"The file", "", "What stands at its top level.", texts(settings_rows(), defaults)},
        {"A client's key", "keys.NAME", "Who may call.", texts(key_rows(), defaults)},
        {"The local target", "targets.NAME", "The engine in this process; at most one.",
         texts(local_rows(), defaults)},
        {"A provider", "targets.NAME", "An OpenAI-compatible service reached over HTTP.",
         texts(provider_rows(), defaults)},
        {"A class", "classes.NAME", "What a kind of requests is promised, and where they may go.",
         texts(class_rows(), defaults)},
        {"Who belongs to a class", "classes.NAME.match",
         "Every matcher given must fit; each takes one value or a list of which one fits.",
         texts(match_rows(), defaults)},
    };
  }();
  return all;
}

std::string describe(Kind kind, const Range& range) {
  const auto show = [kind](double bound) {
    if (kind == Kind::decimal) return format_value(kind, Value(bound));
    return format_value(kind, Value(static_cast<std::int64_t>(bound)));
  };
  const bool bounded = range.max < std::numeric_limits<double>::infinity();
  if (bounded) return "between " + show(range.min) + " and " + show(range.max);
  return range.min > 0 ? "at least " + show(range.min) : "";
}

}  // namespace spillway::config
