// Bad files and the exact sentences that an operator gets for them: line:column: key: what to
// write.
#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace spillway::config {
namespace {

using testing::ElementsAreArray;

struct BadFile {
  std::string name;
  std::string text;
  std::vector<std::string> problems;
};

void PrintTo(const BadFile& file, std::ostream* out) { *out << file.name; }

std::optional<std::string> test_environment(const std::string& name) {
  if (name == "ONE") return "key-number-one";
  if (name == "SAME") return "key-number-one";
  if (name == "EMPTY") return "";
  if (name == "SPACED") return " padded";
  return std::nullopt;
}

std::vector<std::string> problems_of(const std::string& text) {
  std::vector<std::string> lines;
  for (const Problem& problem : load_text(text, "test", test_environment).problems) {
    lines.push_back(to_string(problem));
  }
  return lines;
}

class BadFiles : public testing::TestWithParam<BadFile> {};

TEST_P(BadFiles, EveryProblemAtOnce) {
  EXPECT_THAT(problems_of(GetParam().text), ElementsAreArray(GetParam().problems));
}

// A local target that is in order, on lines of its own, for files that are about something else.
const std::string kLocal = "targets:\n  local: {kind: local, model: m.gguf, serves: tiny}\n";

const std::vector<BadFile> kBadFiles = {
    {"nothing", "", {"holds no settings: expected a block of keys"}},
    {"only_comments", "# targets:\n", {"holds no settings: expected a block of keys"}},
    {"a_list", "- server\n", {"holds no settings: expected a block of keys"}},
    {"no_targets", "log: {level: info}\n", {"1:1: targets: is missing: a block of keys"}},
    {"empty_targets",
     "targets:\n",
     {"1:1: targets: has no target: at least one must answer requests"}},
    {"syntax",
     "targets:\n  local: {kind: local\nlog: {level: info}\n",
     {"3:4: not YAML: end of map flow not found"}},
    {"tab",
     "targets:\n\tlocal: {kind: local}\n",
     {"2:1: not YAML: a line is indented by a tab, where only spaces can be"}},
    {"tab_behind_spaces",
     kLocal + "server:\n  workers: 1\n \tdrain: 1s\n",
     {"5:2: not YAML: a line is indented by a tab, where only spaces can be"}},
    {"tag",
     kLocal + "rules:\n  - {if: !streaming, route: local}\n",
     {"4:10: tags (!streaming) are not read: for `not`, write not streaming"}},
    {"unknown_keys_near_and_far",
     "sever: {listen: 127.0.0.1:1}\n" + kLocal + "server:\n  lisen: 127.0.0.1:1\n  colour: red\n",
     {"1:1: sever: unknown key, did you mean `server`?",
      "5:3: server.lisen: unknown key, did you mean `listen`?",
      "6:3: server.colour: unknown key; valid here: listen, admin, workers, state, admin_key, "
      "cors_origins, unknown_fields, drain, "
      "connections_max, body_max, headers_max, keep_alive, header_timeout, body_timeout, "
      "idle_timeout, "
      "write_timeout"}},
    {"right_word_wrong_level",
     "targets:\n  p:\n    kind: provider\n    base_url: http://127.0.0.1/v1\n    serves: m\n"
     "    price_per_million: {input: 1usd, output: 1usd}\n    first_token: 1s\n",
     {"7:5: targets.p.first_token: unknown key, did you mean `timeouts.first_token`?"}},
    {"wrong_types",
     kLocal + "server:\n  workers: four\n  drain: [1s]\n  listen: {host: a}\nlog:\n  level:\n"
              "limits: 3\n",
     {"4:12: server.workers: 'four' is not a whole number",
      "5:10: server.drain: expected a duration such as 800ms, 30s or 5m, found a list",
      "6:3: server.listen: expected HOST:PORT such as 127.0.0.1:8080, found a block of keys",
      "8:3: log.level: has no value: expected one of: debug, info, warn, error",
      "9:9: limits: expected a block of keys, found '3'"}},
    {"wrong_units",
     kLocal + "server:\n  drain: 30\n  idle_timeout: 30sec\n  body_max: 32MB\n"
              "  header_timeout: 1500us\n  write_timeout: -5s\n",
     {"4:10: server.drain: '30' has no unit: write a duration such as 800ms, 30s or 5m",
      "5:17: server.idle_timeout: '30sec' is not a duration such as 800ms, 30s or 5m",
      "6:13: server.body_max: '32MB' is not a size such as 16KiB or 32MiB",
      "7:19: server.header_timeout: '1500us' is finer than a millisecond, which is the least here",
      "8:18: server.write_timeout: '-5s' is not a duration such as 800ms, 30s or 5m"}},
    {"out_of_range",
     kLocal + "server: {workers: -1, body_max: 2GiB}\nlimits: {attempts_max: 0, "
              "request_timeout: 25h}\n",
     {"3:19: server.workers: '-1' is out of range: between 0 and 256",
      "3:33: server.body_max: '2GiB' is out of range: between 1KiB and 1GiB",
      "4:24: limits.attempts_max: '0' is out of range: between 1 and 20",
      "4:44: limits.request_timeout: '25h' is out of range: between 1ms and 24h"}},
    {"bad_words",
     kLocal +
         "log: {level: warning}\nclasses:\n  a: {spill: sometimes, local_as_last_resort: yes}\n",
     {"3:14: log.level: 'warning' is not one of: debug, info, warn, error, did you mean `warn`?",
      "5:14: classes.a.spill: 'sometimes' is not one of: never, when_sla_at_risk, "
      "cheapest_before_deadline, always",
      "5:47: classes.a.local_as_last_resort: 'yes' is not true or false"}},
    {"word_with_a_slip",
     kLocal + "classes:\n  a: {prefer: cheepest}\n",
     {"4:15: classes.a.prefer: 'cheepest' is not one of: cheapest, fastest, ordered, weighted, did "
      "you mean `cheapest`?"}},
    {"budgets_without_a_ledger",
     kLocal + "ledger: {enabled: false}\ntenants:\n  a: {budget: {day: 1usd}}\n",
     {"3:19: ledger.enabled: must be true: there are budgets, and the ledger keeps them"}},
    {"endpoints_and_urls",
     "server: {listen: 8080, admin: 'localhost:99999'}\ntargets:\n  p:\n    kind: provider\n"
     "    base_url: api.example.com/v1\n    serves: m\n"
     "    price_per_million: {input: 1usd, output: 1usd}\n",
     {"1:18: server.listen: '8080' is not HOST:PORT such as 127.0.0.1:8080",
      "1:31: server.admin: 'localhost:99999' is not HOST:PORT such as 127.0.0.1:8080",
      "5:15: targets.p.base_url: 'api.example.com/v1' is not a URL such as "
      "https://api.example.com/v1"}},
    {"a_key_inside_a_url",
     "targets:\n  p:\n    kind: provider\n    base_url: https://me:pw@example.com/v1\n    serves: "
     "m\n"
     "    price_per_million: {input: 1usd, output: 1usd}\n",
     {"4:15: targets.p.base_url: 'https://…@example.com/v1' has more than scheme, host, port "
      "and path: write a URL such as https://api.example.com/v1; a key goes into `key`"}},
    {"servers_of_a_target",
     "targets:\n  p:\n    kind: provider\n"
     "    base_url: [http://a/v1, http://a/v1/, b]\n    serves: m\n"
     "    price_per_million: {input: 1usd, output: 1usd}\n"
     "classes:\n  x: {hedge: {spend_share_max: 1.5}}\n",
     {"4:29: targets.p.base_url[1]: 'http://a/v1' is named twice",
      "4:43: targets.p.base_url[2]: 'b' is not a URL such as https://api.example.com/v1",
      "8:32: classes.x.hedge.spend_share_max: '1.5' is out of range: between 0 and 1"}},
    {"no_servers_of_a_target",
     "targets:\n  p:\n    kind: provider\n    base_url: []\n    serves: m\n"
     "    price_per_million: {input: 1usd, output: 1usd}\n",
     {"4:15: targets.p.base_url: 0 of them: between 1 and 64 are possible"}},
    {"duplicate_keys",
     kLocal + "log: {level: info}\nlog: {level: warn}\nclasses:\n  a: {spill: never}\n"
              "  a: {spill: always}\n",
     {"4:1: key 'log' is given twice; first in line 3",
      "7:3: key 'a' is given twice; first in line 6"}},
    {"price_is_required",
     "targets:\n  p:\n    kind: provider\n    base_url: http://127.0.0.1/v1\n    serves: m\n"
     "    price_per_million: {input: 2.75}\n",
     {"6:5: targets.p.price_per_million.output: is missing: an amount such as 2.75usd",
      "6:32: targets.p.price_per_million.input: '2.75' has no unit: write an amount such as "
      "2.75usd"}},
    {"kinds",
     "targets:\n  a: {serves: m, model: m.gguf}\n  b: {kind: cloud, base_url: http://h/v1, serves: "
     "m, "
     "price_per_million: {input: 1usd, output: 1usd}}\n",
     {"2:3: targets.a.kind: is missing: one of: local, provider, encoder",
      "3:13: targets.b.kind: 'cloud' is not one of: local, provider, encoder"}},
    {"two_engines_and_no_model",
     "targets:\n  a: {kind: local, serves: m, model: m.gguf}\n  b: {kind: local, serves: n}\n",
     {"3:3: targets.b: is a second local target: one engine runs in this process",
      "3:3: targets.b.model: is missing: the model's GGUF file or folder"}},
    {"a_gpu_without_a_model",
     "targets:\n  local: {kind: local, executor: cuda, serves: m}\n",
     {"2:3: targets.local.model: is missing: the model's GGUF file or folder"}},
    {"several_gpus",
     "targets:\n  local: {kind: local, model: m.gguf, serves: m, tensor_parallel: 2}\n",
     {"2:67: targets.local.tensor_parallel: takes executor: cuda"}},
    {"a_gpus_kv_cache_elsewhere",
     "targets:\n  local: {kind: local, model: m.gguf, serves: m, kv_cache: fp8}\n",
     {"2:60: targets.local.kv_cache: takes executor: cuda"}},
    {"guesses_elsewhere",
     "targets:\n  local: {kind: local, model: m.gguf, serves: m, executor: cuda, speculation: "
     "{drafts: "
     "4}}\n",
     {"2:88: targets.local.speculation.drafts: takes executor: torch"}},
    {"integers_on_several_gpus",
     "targets:\n  local: {kind: local, model: m.gguf, serves: m, executor: cuda, precision: int4, "
     "tensor_parallel: 2}\n",
     {"2:100: targets.local.tensor_parallel: takes precision: bf16 or fp8; int8 and int4 run on "
      "one "
      "GPU"}},
    {"a_gpus_precision_elsewhere",
     "targets:\n  local: {kind: local, model: m.gguf, serves: m, precision: int4}\n",
     {"2:61: targets.local.precision: takes executor: cuda"}},
    {"too_many_gpus",
     "targets:\n  local: {kind: local, model: m.gguf, serves: m, executor: cuda, "
     "tensor_parallel: 9}\n",
     {"2:83: targets.local.tensor_parallel: '9' is out of range: between 1 and 8"}},
    {"names",
     "targets:\n  my engine: {kind: local}\n  local: {kind: local, model: m.gguf, serves: [a, a]}\n"
     "  '': {kind: local}\n",
     {"2:3: targets.my engine: a name has letters, digits, - and _, at most 64, and begins with a "
      "letter or digit",
      "3:51: targets.local.serves[1]: 'a' is named twice",
      "4:3: targets.: a name has letters, digits, - and _, at most 64, and begins with a letter or "
      "digit"}},
    {"model_names",
     "targets:\n  local: {kind: local, model: m.gguf, serves: 'two words'}\n",
     {"2:47: targets.local.serves: a model's name has letters, digits and . _ - / : @ +, at most "
      "128"}},
    {"nobody_serves_it",
     kLocal + "models: {auto: policy, tiny: policy, big: {local: huge, cloud: x}, odd: 3}\n",
     {"3:24: models.tiny: is also served by a target: an alias needs a name of its own",
      "3:44: models.big.local: there is no model of target `local`: 'huge'; valid here: tiny",
      "3:57: models.big.cloud: there is no target 'cloud'; valid here: local",
      "3:68: models.odd: expected `policy`, or a block `target: model`"}},
    {"references",
     kLocal + "keys:\n  app: {secret: 'env:ONE', class: intractive, may_name: [batch]}\n"
              "default_class: main\nclasses:\n  interactive:\n    match:\n      - {key: apps}\n"
              "      - {model: tinny, endpoint: chat}\n    providers: [local, cloudbrain]\n",
     {"4:35: keys.app.class: there is no class 'intractive', did you mean `interactive`?",
      "4:58: keys.app.may_name[0]: there is no class 'batch'; valid here: interactive",
      "5:16: default_class: there is no class 'main'; valid here: interactive",
      "9:15: classes.interactive.match[0].key[0]: there is no key 'apps', did you mean `app`?",
      "10:17: classes.interactive.match[1].model[0]: there is no model 'tinny', did you mean "
      "`tiny`?",
      "10:34: classes.interactive.match[1].endpoint[0]: 'chat' is not a path such as "
      "/v1/chat/completions",
      "11:17: classes.interactive.providers[0]: 'local' is the local target: `providers` names "
      "providers, `spill` says when they are asked",
      "11:24: classes.interactive.providers[1]: there is no provider 'cloudbrain'"}},
    {"several_classes_and_no_default",
     kLocal + "classes:\n  a: {spill: never}\n  b: {spill: always}\n",
     {"3:1: classes: has several classes: say which is the default with `default_class: NAME`"}},
    {"matchers",
     kLocal + "classes:\n  a:\n    match: everything\n  b:\n    match: {}\n  c:\n    match: []\n"
              "  d:\n    match: {tier: flex}\n  e:\n    providers: []\ndefault_class: a\n",
     {"5:12: classes.a.match: expected a block of matchers, a list of them, or the word by_name",
      "7:5: classes.b.match: fits nothing: give at least one of key, service_tier, model, endpoint",
      "9:12: classes.c.match: expected a block of matchers, a list of them, or the word by_name",
      "11:13: classes.d.match.tier: unknown key, did you mean `service_tier`?",
      "13:16: classes.e.providers: expected a name or a list such as [one, two], found an empty "
      "list; leave the key out for: all providers"}},
    {"secrets",
     kLocal + "keys:\n  a: {secret: sk-1234567890abcdef}\n  b: {secret: 'env:NOT_SET'}\n"
              "  c: {secret: 'env:EMPTY'}\n  d: {secret: 'file:/does/not/exist'}\n"
              "  e: {secret: 'env:sk-1234567890abcdef'}\n  f: {secret: 'env:SPACED'}\n  g: "
              "{tenant: x}\n",
     {"4:15: keys.a.secret: a secret is never written into this file: put it into an environment "
      "variable and write env:NAME, or into a file and write file:PATH",
      "5:15: keys.b.secret: environment variable NOT_SET is not set",
      "6:15: keys.c.secret: environment variable EMPTY is empty",
      "7:15: keys.d.secret: cannot read file /does/not/exist: No such file or directory",
      "8:15: keys.e.secret: a secret is never written into this file: put it into an environment "
      "variable and write env:NAME, or into a file and write file:PATH",
      "9:15: keys.f.secret: environment variable SPACED begins or ends with a space, or holds line "
      "ends or other characters that no key has",
      "10:3: keys.g.secret: is missing: env:NAME or file:PATH"}},
    {"the_same_secret_twice",
     kLocal + "keys:\n  a: {secret: 'env:ONE'}\n  b: {secret: 'env:SAME'}\n",
     {"5:15: keys.b.secret: is the same secret as that of key `a`"}},
    {"a_secret_in_the_wrong_place",
     kLocal + "keys:\n  a: {secret: 'env:ONE', tenant: sk-1234567890abcdef}\n"
              "  sk-1234567890abcdef: {secret: 'env:SAME'}\n",
     {"4:34: keys.a.tenant: this looks like a secret: only env:NAME or file:PATH may stand for "
      "one, "
      "in `secret` or `key`",
      "5:3: keys.***: this looks like a secret: only env:NAME or file:PATH may stand for one, in "
      "`secret` or `key`"}},
    {"anchors",
     "targets:\n  local: &one {kind: local}\n",
     {"2:10: anchors (&name) are not read: write the value out"}},
    {"a_second_document",
     kLocal + "---\nlog: {level: info}\n",
     {"3:1: a second document: only one is read"}},
    {"the_same_port_twice",
     "server: {listen: 127.0.0.1:9090}\n" + kLocal,
     {"1:1: server.admin: is the same as server.listen: they need a port each"}},
};

INSTANTIATE_TEST_SUITE_P(Config, BadFiles, testing::ValuesIn(kBadFiles),
                         [](const auto& info) { return info.param.name; });

TEST(ConfigProblems, LongPromptsAreNotCheaper) {
  const auto with_long = [](const std::string& prices) {
    return problems_of(
        "targets: {far: {kind: provider, base_url: 'https://a/v1', serves: m, price_per_million: "
        "{input: 2usd, output: 3usd, long: {" +
        prices + "}}}}\n");
  };
  EXPECT_THAT(with_long("above: 9, input: 2usd, output: 3usd"), testing::IsEmpty());
  EXPECT_THAT(with_long("above: 0"), testing::IsEmpty()) << "there is none";
  for (const std::string less : {"above: 9, input: 2usd", "above: 9, input: 1.99usd, output: 4usd",
                                 "above: 9, input: 2usd, output: 3usd, audio_input: 1.99usd"})
    EXPECT_THAT(with_long(less), testing::ElementsAre(testing::HasSubstr("needs `input` and")))
        << less;
  EXPECT_THAT(with_long("input: 4usd, output: 6usd"),
              testing::ElementsAre(testing::HasSubstr("has no `above`")));
}

TEST(ConfigProblems, NoSentenceShowsASecret) {
  for (const BadFile& file : kBadFiles) {
    for (const std::string& line : problems_of(file.text)) {
      EXPECT_EQ(line.find("1234567890abcdef"), std::string::npos) << line;
      EXPECT_EQ(line.find("key-number-one"), std::string::npos) << line;
    }
  }
}

TEST(ConfigProblems, AreCountedPastTheFirstHundred) {
  std::string text = kLocal + "server:\n";
  for (int i = 0; i < 130; ++i) text += "  wrong" + std::to_string(i) + ": 1\n";
  const auto problems = problems_of(text);
  ASSERT_EQ(problems.size(), 101u);
  EXPECT_EQ(problems.back(), "and 30 more problems");
}

}  // namespace
}  // namespace spillway::config
