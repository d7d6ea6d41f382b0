#include "tests/routing/case_file.h"

#include "config/load.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <stdexcept>

namespace spillway::routing {
namespace {

using std::chrono::milliseconds;

std::shared_ptr<const config::Settings> load_policy(const std::string& path) {
  const config::Environment environment = [](const std::string& name) {
    return std::optional<std::string>("secret-of-" + name);
  };
  const config::Loaded loaded = config::load_file(path, environment);
  if (!loaded.settings) throw std::runtime_error("cannot load the policy " + path);
  return loaded.settings;
}

// The engine as configured, idle, at the pace that the cases count with: a step takes 20 ms, 2 ms
// for each sequence that decodes, 1 µs for each token of their context and 1 ms for each prompt
// token.
EngineStatus idle_engine(const config::Settings& settings) {
  EngineStatus engine;
  if (settings.local.empty()) return engine;
  const config::LocalTarget& local = settings.local.front();
  engine.ready = true;
  engine.sequences_max = local.sequences_max;
  engine.budget.tokens_max = local.step_tokens_max;
  engine.waiting_max = local.waiting_max;
  engine.kv_tokens_total = engine.kv_tokens_free = local.kv_tokens_max;
  engine.context_max = local.context_max > 0 ? local.context_max : 8'192;
  engine.step = {.base = 0.020,
                 .per_sequence = 0.002,
                 .per_context_token = 1e-6,
                 .per_prefill_token = 0.001,
                 .steps_seen = 1};
  return engine;
}

// The words of one line: numbers with units, names, and the rest of the line.
class Words {
 public:
  Words(const std::string& line, std::string place) : in_(line), place_(std::move(place)) {}

  std::string word() {
    std::string word;
    if (!(in_ >> word)) fail("a word is missing");
    return word;
  }

  bool more() { return !(in_ >> std::ws).eof(); }

  std::string rest() {
    std::string text;
    std::getline(in_ >> std::ws, text);
    return text;
  }

  int count() { return static_cast<int>(number()); }

  double number() {
    const std::string text = word();
    std::size_t end = 0;
    const double value = std::stod(text, &end);
    if (end != text.size()) fail("not a number: " + text);
    return value;
  }

  // "800ms" or "3s".
  milliseconds time() {
    const std::string text = word();
    std::size_t end = 0;
    const double value = std::stod(text, &end);
    const std::string unit = text.substr(end);
    if (unit == "ms") return milliseconds(static_cast<int>(value));
    if (unit == "s") return milliseconds(static_cast<int>(value * 1'000.0));
    if (unit == "m") return milliseconds(static_cast<int>(value * 60'000.0));
    fail("not a time: " + text);
  }

  double seconds() { return std::chrono::duration<double>(time()).count(); }

  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error(place_ + ": " + why);
  }

 private:
  std::istringstream in_;
  std::string place_;
};

// "8 context 200 made 10 of 64" decode; "1 prompt 300 of 64" read their prompt.
void read_running(Words& words, EngineStatus& engine) {
  const int count = words.count();
  SequenceStatus one;
  if (words.word() == "prompt") {
    one.prefill_left = words.count();
    engine.kv_tokens_free -= count * one.prefill_left;
  } else {
    one.context_tokens = words.count();
    words.word();
    one.generated = words.count();
    engine.kv_tokens_free -= count * one.context_tokens;
  }
  words.word();
  one.tokens_max = words.count();
  engine.running.insert(engine.running.end(), static_cast<std::size_t>(count), one);
}

// "12 prompt 200 of 64"
void read_waiting(Words& words, EngineStatus& engine) {
  const int count = words.count();
  SequenceStatus one;
  words.word();
  one.prefill_left = words.count();
  words.word();
  one.tokens_max = words.count();
  engine.waiting.insert(engine.waiting.end(), static_cast<std::size_t>(count), one);
}

// "ai-hub open 3s", "ai-hub ttft 400ms 900ms", …: several may stand in one line.
void read_provider(Words& words, Case& one) {
  ProviderWords provider{.name = words.word()};
  while (words.more()) {
    const std::string word = words.word();
    if (word == "open") {
      provider.permission = policy::Permission::open;
      provider.open_for = words.time();
    } else if (word == "probe") {
      provider.permission = policy::Permission::probe;
    } else if (word == "limited") {
      provider.limited_for = words.time();
    } else if (word == "in_flight") {
      provider.in_flight = words.count();
    } else if (word == "ttft") {
      provider.ttft_p50 = words.seconds();
      provider.ttft_p90 = words.seconds();
    } else if (word == "in_time") {
      provider.in_time = words.number();
    } else if (word == "rate") {
      provider.tokens_per_second = words.number();
    } else {
      words.fail("a provider has no " + word);
    }
  }
  one.providers.push_back(std::move(provider));
}

void read_names(Words& words, std::vector<std::string>& names) {
  while (words.more()) names.push_back(words.word());
}

void read_error(Words& words, Case& one) {
  one.error = words.word();
  while (words.more()) {
    const std::string word = words.word();
    if (word == "after") {
      one.retry_after = words.time();
    } else if (word == "param") {
      one.param = words.word();
    } else {
      words.fail("an error has no " + word);
    }
  }
}

policy::Turn turn_of(Words& words) {
  const std::string word = words.word();
  if (word == "local") return policy::Turn::local;
  if (word == "cloud") return policy::Turn::cloud;
  words.fail("a turn is local or cloud");
}

using Reader = std::function<void(Words&, Case&)>;

const std::map<std::string, Reader>& readers() {
  static const std::map<std::string, Reader> kReaders = {
      {"model", [](Words& w, Case& c) { c.model = w.word(); }},
      {"tier", [](Words& w, Case& c) { c.service_tier = w.word(); }},
      {"class", [](Words& w, Case& c) { c.class_header = w.word(); }},
      {"key", [](Words& w, Case& c) { c.key = w.word(); }},
      {"endpoint", [](Words& w, Case& c) { c.endpoint = w.word(); }},
      {"local_only", [](Words&, Case& c) { c.request.local_only = true; }},
      {"tools", [](Words&, Case& c) { c.request.needs |= Need::tools; }},
      {"images", [](Words&, Case& c) { c.request.needs |= Need::images; }},
      {"prompt", [](Words& w, Case& c) { c.request.prompt_tokens = w.count(); }},
      {"longest_prompt", [](Words& w, Case& c) { c.request.longest_prompt = w.count(); }},
      {"answer", [](Words& w, Case& c) { c.request.completion_tokens_max = w.count(); }},
      {"expected_tokens",
       [](Words& w, Case& c) { c.request.completion_tokens_expected = w.number(); }},
      {"deadline", [](Words& w, Case& c) { c.request.deadline = w.time(); }},
      {"ttft_max", [](Words& w, Case& c) { c.request.ttft_max = w.time(); }},
      {"silence", [](Words& w, Case& c) { c.request.silence_max = w.time(); }},
      {"turn", [](Words& w, Case& c) { c.turn = turn_of(w); }},
      {"waited", [](Words& w, Case& c) { c.waited = w.time(); }},
      {"waits", [](Words& w, Case& c) { c.waits = w.time(); }},
      {"timeout", [](Words& w, Case& c) { c.request.client_timeout = w.time(); }},
      {"running", [](Words& w, Case& c) { read_running(w, c.engine); }},
      {"waiting", [](Words& w, Case& c) { read_waiting(w, c.engine); }},
      {"kv_free", [](Words& w, Case& c) { c.engine.kv_tokens_free = w.count(); }},
      {"engine_down", [](Words&, Case& c) { c.engine.ready = false; }},
      {"no_engine", [](Words&, Case& c) { c.has_engine = false; }},
      {"speed", [](Words& w, Case& c) { c.speed = w.number(); }},
      {"correction", [](Words& w, Case& c) { c.correction = w.number(); }},
      {"gpu_second_worth", [](Words& w, Case& c) { c.gpu_second_worth = w.number(); }},
      {"spilling", [](Words& w, Case& c) { read_names(w, c.spilling); }},
      {"typical", [](Words& w, Case& c) { c.typical = w.count(); }},
      {"provider", [](Words& w, Case& c) { read_provider(w, c); }},
      {"expect", [](Words& w, Case& c) { read_names(w, c.targets); }},
      {"models", [](Words& w, Case& c) { read_names(w, c.models); }},
      {"label", [](Words& w, Case& c) { c.label = w.word(); }},
      {"clock", [](Words& w, Case& c) { c.clock = {w.count(), 3'600.0 * w.number()}; }},
      {"rule", [](Words& w, Case& c) { c.rule = w.word(); }},
      {"reason", [](Words& w, Case& c) { c.reason = w.word(); }},
      {"in_class", [](Words& w, Case& c) { c.request_class = w.word(); }},
      {"error", [](Words& w, Case& c) { read_error(w, c); }},
      {"says", [](Words& w, Case& c) { c.explained.push_back(w.rest()); }},
  };
  return kReaders;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Case& one) {
  return out << one.place << ": " << one.title;
}

std::vector<Case> read_cases(const std::string& path, const std::string& root) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::vector<Case> cases;
  std::shared_ptr<const config::Settings> settings;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const std::string place =
        std::filesystem::path(path).filename().string() + ":" + std::to_string(number);
    Words words(line.substr(0, line.find('#')), place);
    if (!words.more()) continue;
    const std::string verb = words.word();
    if (verb == "policy") {
      settings = load_policy(root + "/" + words.word());
    } else if (verb == "case") {
      if (!settings) words.fail("there is no policy yet");
      Case one{.title = words.rest(), .place = place, .settings = settings};
      one.engine = idle_engine(*settings);
      one.request.prompt_tokens = 100;
      one.request.completion_tokens_max = 64;
      cases.push_back(std::move(one));
    } else if (cases.empty() || readers().count(verb) == 0) {
      words.fail("what is " + verb + "?");
    } else {
      readers().at(verb)(words, cases.back());
    }
  }
  return cases;
}

}  // namespace spillway::routing
