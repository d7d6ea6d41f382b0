// `spillway keys`: makes, lists, shows, rotates and revokes clients' keys at a running gateway.
#include "config/value.h"
#include "gateway/verbs/admin_options.h"
#include "gateway/verbs/options.h"
#include "gateway/verbs/verbs.h"
#include "gateway/wire/json_text.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <variant>

namespace spillway::verbs {
namespace {

constexpr const char* kVerb = "spillway keys";

int fail(const std::string& message, int status = kFailed) {
  std::fprintf(stderr, "%s: %s\n", kVerb, message.c_str());
  return status;
}

std::string quoted(const std::string& text) {
  std::string json;
  wire::append_json_string(json, text);
  return json;
}

// ["a","b"] of "a,b".
std::string list_of(const std::string& names) {
  std::string json = "[";
  for (std::size_t at = 0; at <= names.size();) {
    const std::size_t end = std::min(names.find(',', at), names.size());
    json += (json.size() > 1 ? "," : "") + quoted(names.substr(at, end - at));
    at = end + 1;
  }
  return json + "]";
}

// Members of an object, for the options that were given.
class Object {
 public:
  explicit Object(const Options& options) : options_(options) {}

  Object& text(const char* option, const char* member) {
    return add(option, member, quoted(options_.get(option)));
  }
  Object& list(const char* option, const char* member) {
    return add(option, member, list_of(options_.get(option)));
  }
  Object& number(const char* option, const char* member) {
    return add(option, member, options_.get(option));
  }
  Object& flag(const char* option, const char* member) { return add(option, member, "true"); }
  Object& inner(const char* member, const Object& object) {
    if (!object.members_.empty()) join(member, object.json());
    return *this;
  }
  std::string json() const { return "{" + members_ + "}"; }

 private:
  Object& add(const char* option, const char* member, const std::string& value) {
    if (options_.has(option)) join(member, value);
    return *this;
  }
  void join(const char* member, const std::string& value) {
    members_ += (members_.empty() ? "\"" : ",\"") + std::string(member) + "\":" + value;
  }

  const Options& options_;
  std::string members_;
};

std::string new_key(const Options& options) {
  Object limits(options), budget(options), key(options);
  limits.number("--requests-per-minute", "requests_per_minute")
      .number("--tokens-per-minute", "tokens_per_minute")
      .number("--concurrency", "concurrency");
  budget.text("--day", "day").text("--month", "month").number("--warn-at", "warn_at");
  budget.flag("--hard", "hard");
  key.text("--name", "name").text("--tenant", "tenant").text("--project", "project");
  key.text("--class", "class").list("--classes", "classes").list("--models", "models");
  key.list("--scopes", "scopes").flag("--local-only", "local_only");
  key.list("--residency", "residency");
  key.text("--expires-in", "expires_in").inner("limits", limits).inner("budget", budget);
  return key.json();
}

void declare(Options& options) {
  options.words("create | list | show ID | rotate ID | revoke ID", 2)
      .value("--name", "NAME", "create: what to call it; needed")
      .value("--tenant", "NAME", "create: who pays (default: its name)")
      .value("--project", "NAME", "create: what its costs are for")
      .value("--class", "NAME", "create: the class of its requests")
      .value("--classes", "A,B", "create: the classes that it may name")
      .value("--models", "A,B", "create: the models that it may ask for (default: all)")
      .value("--scopes", "A,B", "create: what it may call: chat, files… (default: everything)")
      .flag("--local-only", "create: its requests never leave the machine")
      .value("--residency", "A,B", "create: where its data may go (default: anywhere)")
      .value("--expires-in", "TIME", "create: 30d, 12h (default: never)")
      .value("--requests-per-minute", "N", "create: a limit")
      .value("--tokens-per-minute", "N", "create: a limit")
      .value("--concurrency", "N", "create: a limit")
      .value("--day", "AMOUNT", "create: its budget for a day: 5usd")
      .value("--month", "AMOUNT", "create: its budget for a month: 100usd")
      .value("--warn-at", "SHARE", "create: from this share of it on, answers warn (0.8)")
      .flag("--hard", "create: never past its budget, even if answers are cut")
      .value("--overlap", "TIME", "rotate: so long the old secret is good as well (default: not)");
  add_admin_options(options);
}

// A number goes into the question as it is written. False: one is none (printed).
bool numbers_are_good(const Options& options) {
  const std::pair<const char*, config::Kind> numbers[] = {
      {"--requests-per-minute", config::Kind::count},
      {"--tokens-per-minute", config::Kind::count},
      {"--concurrency", config::Kind::count},
      {"--warn-at", config::Kind::decimal}};
  for (const auto& [option, kind] : numbers) {
    if (!options.has(option)) continue;
    const auto parsed = config::parse_value(kind, options.get(option));
    const auto* mistake = std::get_if<config::Mistake>(&parsed);
    if (mistake == nullptr) continue;
    fail(std::string(option) + ": " + mistake->message);
    return false;
  }
  return true;
}

struct Question {
  std::string method;
  std::string path;
  std::string body;
};

// Nothing: it is not a thing to do with keys.
std::optional<Question> question_of(const Options& options) {
  const auto& words = options.words_given();
  const std::string what = words.empty() ? "" : words.front();
  if (words.size() == 1 && what == "create") return Question{"POST", "/keys", new_key(options)};
  if (words.size() == 1 && what == "list") return Question{"GET", "/keys", ""};
  if (words.size() != 2) return std::nullopt;
  const std::string path = "/keys/" + words.back();
  if (what == "show") return Question{"GET", path, ""};
  if (what == "revoke") return Question{"DELETE", path, ""};
  if (what != "rotate") return std::nullopt;
  Object terms(options);
  return Question{"POST", path + "/rotate", terms.text("--overlap", "overlap").json()};
}

}  // namespace

int keys(const Arguments& arguments) {
  Options options;
  declare(options);
  if (!options.read(arguments, kVerb)) return options.exit_status();
  const auto question = question_of(options);
  if (!question)
    return fail("create, list, show ID, rotate ID or revoke ID? (try --help)", kMisused);
  if (!numbers_are_good(options)) return kMisused;
  const auto door = admin_door(options, kVerb);
  if (!door) return door.exit_status();
  const auto answer = remote::ask_admin(*door, question->method, question->path, question->body);
  if (!answer) return fail(answer.error().message);
  return print_answer(*door, *answer, kVerb);
}

}  // namespace spillway::verbs
