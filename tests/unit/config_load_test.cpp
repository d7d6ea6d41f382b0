// What the committed files load to, what a short file leaves to defaults, and what is worth a
// warning.
#include "config/effective.h"
#include "config/load.h"
#include "config/reload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

namespace spillway::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kFolder = std::string(SPILLWAY_SOURCE_DIR) + "/config/";

std::optional<std::string> test_environment(const std::string& name) {
  if (name == "SPILLWAY_DEMO_KEY") return "sk-spillway-demo";
  if (name == "OTHER") return "another-secret";
  return std::nullopt;
}

std::vector<std::string> lines(const std::vector<Problem>& problems) {
  std::vector<std::string> out;
  for (const Problem& problem : problems) out.push_back(to_string(problem));
  return out;
}

std::shared_ptr<const Settings> settings_of(const std::string& text) {
  const Loaded loaded = load_text(text, "test", test_environment);
  EXPECT_THAT(lines(loaded.problems), IsEmpty()) << text;
  return loaded.settings != nullptr ? loaded.settings : std::make_shared<Settings>();
}

std::vector<std::string> warnings_of(const std::string& text) {
  const Loaded loaded = load_text(text, "test", test_environment);
  EXPECT_THAT(lines(loaded.problems), IsEmpty()) << text;
  return lines(loaded.warnings);
}

const RequestClass* class_named(const Settings& settings, const std::string& name) {
  for (const RequestClass& one : settings.policy.classes) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

class CommittedFile : public testing::TestWithParam<const char*> {};

TEST_P(CommittedFile, LoadsAndReadsBackFromItsEffectiveDump) {
  const Loaded loaded = load_file(kFolder + GetParam(), test_environment);
  ASSERT_THAT(lines(loaded.problems), IsEmpty());
  for (const std::string& warning : lines(loaded.warnings)) {
    EXPECT_THAT(warning, HasSubstr("there is no readable file")) << "the model is not committed";
  }
  const std::string dump = effective_yaml(*loaded.settings);
  EXPECT_THAT(dump, HasSubstr("secret: env:SPILLWAY_DEMO_KEY"));
  EXPECT_THAT(dump, HasSubstr(loaded.settings->sha256));
  EXPECT_THAT(dump, Not(HasSubstr("sk-spillway-demo")));

  Settings again = *settings_of(dump);
  again.source = loaded.settings->source;
  again.sha256 = loaded.settings->sha256;
  EXPECT_EQ(again, *loaded.settings);
}

INSTANTIATE_TEST_SUITE_P(Config, CommittedFile,
                         testing::Values("spillway.yaml", "policies/article.yaml"));

TEST(ConfigLoad, TheDefaultFileSaysWhatTheReadmePromises) {
  const Loaded loaded = load_file(kFolder + "spillway.yaml", test_environment);
  ASSERT_NE(loaded.settings, nullptr);
  const Settings& settings = *loaded.settings;
  EXPECT_EQ(settings.server.listen, (Endpoint{"127.0.0.1", 8080}));
  EXPECT_EQ(settings.server.admin, (Endpoint{"127.0.0.1", 9090}));
  ASSERT_EQ(settings.keys.size(), 1u);
  EXPECT_EQ(settings.keys[0].secret, "sk-spillway-demo");
  ASSERT_EQ(settings.local.size(), 1u);
  EXPECT_EQ(settings.local[0].serves, (std::vector<ServedModel>{{"smollm2", "smollm2"}}));
  ASSERT_EQ(settings.providers.size(), 3u);
  EXPECT_EQ(settings.providers[1].name, "ai-hub");
  EXPECT_EQ(settings.providers[1].base_urls, Names{"http://127.0.0.1:9102/v1"});
  EXPECT_EQ(settings.providers[1].price,
            (Price{1'980'000'000, 1'980'000'000, 1'980'000'000, 1'980'000'000, 1'980'000'000,
                   1'980'000'000, 1'980'000'000}));
  EXPECT_EQ(settings.providers[1].measured.ttft_p50, Milliseconds(346));
  EXPECT_EQ(settings.policy.default_class, "interactive");
  EXPECT_EQ(class_named(settings, "interactive")->sla.ttft, Milliseconds(1'000));
  EXPECT_EQ(class_named(settings, "interactive")->spill, Spill::when_sla_at_risk);
  EXPECT_EQ(class_named(settings, "batch")->spill, Spill::cheapest_before_deadline);
  EXPECT_EQ(class_named(settings, "batch")->match[0].service_tiers, Names{"flex"});
  EXPECT_EQ(class_named(settings, "private")->spill, Spill::never);
  EXPECT_EQ(settings.policy.aliases, (std::vector<Alias>{{"auto", {}}}));
}

TEST(ConfigLoad, TheArticlesMapIsFixed) {
  const Loaded loaded = load_file(kFolder + "policies/article.yaml", test_environment);
  ASSERT_NE(loaded.settings, nullptr);
  const std::vector<std::pair<std::string, std::string>> map = {
      {"interactive", "ai-hub"}, {"batch", "openmodel"}, {"enterprise", "cloudbrain"}};
  for (const auto& [name, provider] : map) {
    const RequestClass* one = class_named(*loaded.settings, name);
    ASSERT_NE(one, nullptr);
    EXPECT_EQ(one->prefer, Prefer::ordered);
    EXPECT_EQ(one->providers.front(), provider);
  }
}

TEST(ConfigLoad, AShortFileIsEnough) {
  const auto settings = settings_of("targets:\n  local: {kind: local, model: m.gguf, serves: m}\n");
  EXPECT_EQ(settings->server.listen, (Endpoint{"127.0.0.1", 8080}));
  EXPECT_EQ(settings->policy.default_class, "default");
  ASSERT_EQ(settings->policy.classes.size(), 1u);
  EXPECT_EQ(settings->policy.classes[0].spill, Spill::when_sla_at_risk);
  EXPECT_EQ(settings->local[0].precision, LocalTarget().precision);
}

TEST(ConfigLoad, EveryFormOfAValue) {
  const auto settings = settings_of(R"(
server: {listen: '[::1]:0', workers: "2"}
keys:
  app: {secret: env:OTHER, class: bulk, may_name: [bulk, chat], local_only: true}
targets:
  gpu:
    {kind: local, executor: synthetic, serves: [a, b],
     step_prior: {base: 1.5ms, per_prefill_token: 0.5us}}
  far:
    kind: provider
    base_url: [https://api.example.com/v1/, https://eu.example.com/v1]
    serves: {gpt-4.1-mini: vendor/gpt-4.1-mini, plain: }
    price_per_million: {input: 0.15usd, cached_input: 0.075usd, cache_write: 0.1875usd,
                        cache_write_1h: 0.30usd, output: 0.60usd, audio_output: 4.80usd,
                        long: {above: 200000, input: 0.30usd, output: 0.90usd}}
    price_as_told: true
    batch_discount: 0.5
models: {auto: policy, best: {far: plain}}
default_class: chat
classes:
  bulk: {match: [{key: app, endpoint: /v1/batches}, {service_tier: [flex]}], sla: {deadline: 1h}}
  chat: {match: {model: [auto, a]}, hedge: {enabled: true, after: 300ms, spend_share_max: 0.1}}
)");
  EXPECT_EQ(settings->server.listen, (Endpoint{"::1", 0}));
  EXPECT_EQ(settings->server.workers, 2);
  EXPECT_EQ(settings->keys[0].tenant, "app");
  EXPECT_EQ(settings->keys[0].secret, "another-secret");
  EXPECT_EQ(settings->keys[0].classes, (Names{"bulk", "chat"}));
  EXPECT_DOUBLE_EQ(settings->local[0].step_prior.base_ms, 1.5);
  EXPECT_DOUBLE_EQ(settings->local[0].step_prior.per_prefill_token_us, 0.5);
  EXPECT_EQ(settings->providers[0].base_urls,
            (Names{"https://api.example.com/v1", "https://eu.example.com/v1"}));
  EXPECT_EQ(settings->policy.classes[1].hedge, (Hedge{true, Milliseconds(300), 0.1}));
  EXPECT_FALSE(settings->policy.classes[0].hedge.enabled);
  EXPECT_EQ(
      settings->providers[0].serves,
      (std::vector<ServedModel>{{"gpt-4.1-mini", "vendor/gpt-4.1-mini"}, {"plain", "plain"}}));
  EXPECT_EQ(settings->providers[0].price,
            (Price{150'000'000,
                   600'000'000,
                   75'000'000,
                   187'500'000,
                   300'000'000,
                   150'000'000,
                   4'800'000'000,
                   0,
                   0,
                   0.5,
                   {200'000, 300'000'000, 900'000'000, 300'000'000, 300'000'000, 300'000'000,
                    300'000'000, 4'800'000'000},
                   true}));
  EXPECT_EQ(settings->policy.aliases[1], (Alias{"best", {{"far", "plain"}}}));
  ASSERT_EQ(settings->policy.classes[0].match.size(), 2u);
  EXPECT_EQ(settings->policy.classes[0].match[0].endpoints, Names{"/v1/batches"});
  EXPECT_EQ(settings->policy.classes[0].sla.deadline, Milliseconds(3'600'000));

  Settings again = *settings_of(effective_yaml(*settings));
  again.source = settings->source;
  again.sha256 = settings->sha256;
  EXPECT_EQ(again, *settings);
}

TEST(ConfigLoad, ASecretComesFromAFileWithoutItsLineEnd) {
  const std::string path = testing::TempDir() + "spillway_config_secret";
  std::ofstream(path) << "s3cret-of-file\n";
  const auto settings = settings_of(
      "targets:\n  l: {kind: local, model: m, serves: m}\nkeys:\n  a: "
      "{secret: 'file:" +
      path + "'}\n");
  EXPECT_EQ(settings->keys.at(0).secret, "s3cret-of-file");
  EXPECT_THAT(effective_yaml(*settings), HasSubstr("secret: file:" + path));
}

TEST(ConfigLoad, TheDumpHidesASecretWithoutASource) {
  Settings settings;
  settings.keys.push_back({.name = "a", .secret = "top-secret"});
  settings.providers.push_back({.name = "p", .key = "top-secret"});
  EXPECT_THAT(effective_yaml(settings), Not(HasSubstr("top-secret")));
  EXPECT_THAT(effective_yaml(settings), HasSubstr("***"));
}

TEST(ConfigLoad, AFileThatCannotBeReadSaysWhy) {
  EXPECT_THAT(lines(load_file("/does/not/exist.yaml").problems),
              ElementsAre("cannot read /does/not/exist.yaml: No such file or directory"));
  EXPECT_THAT(lines(load_file("/dev/zero").problems),
              ElementsAre("cannot read /dev/zero: not a regular file"));
}

const std::string kTargets = R"(
targets:
  here: {kind: local, executor: synthetic, serves: tiny, step_prior: {base: 60ms}}
  far:
    kind: provider
    base_url: http://api.example.com/v1
    key: env:OTHER
    serves: m
    price_per_million: {input: 1usd, output: 1usd}
    measured: {ttft_p50: 2s, ttft_p99: 1s, tokens_per_second: 10}
    timeouts: {first_token: 500ms}
    breaker: {failures_min: 30}
)";

TEST(ConfigWarnings, TargetsThatContradictThemselves) {
  EXPECT_THAT(
      warnings_of(kTargets),
      ElementsAre(
          "6:15: targets.far.base_url: the key travels in clear: use https://",
          "10:40: targets.far.measured.ttft_p99: is less than ttft_p50",
          "11:29: targets.far.timeouts.first_token: gives up before measured.ttft_p99, 1s",
          "12:29: targets.far.breaker.failures_min: is more than `window`: the breaker never "
          "opens"));
}

TEST(ConfigWarnings, PromisesThatNoTargetKeeps) {
  const auto warnings =
      warnings_of(kTargets +
                  "classes:\n  fast: {sla: {ttft: 1s, per_token: 50ms, deadline: 1500ms}}\n"
                  "models: {auto: policy}\n");
  EXPECT_THAT(
      std::vector<std::string>(warnings.begin() + 4, warnings.end()),
      ElementsAre("14:22: classes.fast.sla.ttft: target `far` misses 1s more often than not: "
                  "its ttft_p50 is 2s",
                  "14:37: classes.fast.sla.per_token: target `far` is slower than 50ms a "
                  "token: it has 10 tokens_per_second",
                  "14:37: classes.fast.sla.per_token: target `here` takes longer for a token "
                  "than 50ms even alone, by its step_prior",
                  "14:37: classes.fast.sla.per_token: no target can keep it: the quickest token "
                  "that is known of takes 61ms",
                  "14:53: classes.fast.sla.deadline: target `far` has no token by then more "
                  "often than not: its ttft_p50 is 2s"));
}

TEST(ConfigWarnings, FeedbackThatMovesNothing) {
  const auto feedback = [](const std::string& of_class, const std::string& bounds) {
    return warnings_of(
        "targets:\n  here: {kind: local, executor: synthetic, serves: tiny}\nclasses:\n  chat: {" +
        of_class + ", feedback: {enabled: true" + bounds + "}}\n");
  };
  const std::string usual = "sla: {ttft: 1s}";
  EXPECT_THAT(feedback(usual, ""), IsEmpty());
  EXPECT_THAT(feedback(usual + ", spill: never", ""), ElementsAre(HasSubstr("all stay")));
  EXPECT_THAT(feedback("prefer: fastest", ""), ElementsAre(HasSubstr("no sla.ttft")));
  EXPECT_THAT(feedback(usual, ", headroom_min: 0.9, headroom_max: 0.8"),
              ElementsAre(HasSubstr("is more than headroom_max")));
  EXPECT_THAT(feedback(usual, ", headroom_max: 0.89"), ElementsAre(HasSubstr("begins outside")));
  EXPECT_THAT(feedback(usual, ", spend_per_hour_max: 1usd"),
              ElementsAre(HasSubstr("no promise_price_max")));
  EXPECT_THAT(feedback(usual + ", promise_price_max: 1usd", ", spend_per_hour_max: 1usd"),
              IsEmpty());
}

TEST(ConfigWarnings, WhatWouldBeBookedTooLow) {
  const auto target = [](const std::string& more) {
    return "targets:\n  far:\n    {kind: provider, base_url: 'https://a/v1', serves: m, " + more +
           "}\n";
  };
  const std::string usual = "price_per_million: {input: 3usd, output: 15usd}";
  EXPECT_THAT(
      warnings_of(target("dialect: anthropic, " + usual)),
      testing::UnorderedElementsAre(
          HasSubstr("targets.far.price_per_search: is nothing: what it looks up in the web"),
          HasSubstr("targets.far.price_per_million.cache_write: is no more than the input's")));
  EXPECT_THAT(warnings_of(target("takes: [search, audio], " + usual)),
              testing::UnorderedElementsAre(
                  HasSubstr("targets.far.price_per_search: is nothing"),
                  HasSubstr("targets.far.price_per_million.audio_input: sound is booked at")));
  EXPECT_THAT(warnings_of(target(usual)), IsEmpty());
  for (const std::string hears :
       {"dialect: gemini", "serves: {m: gpt-audio-2}", "serves: {m: mistralai/voxtral-small}"}) {
    const std::string models = hears.starts_with("serves") ? hears : "serves: m, " + hears;
    const auto asked = [&](const std::string& more) {
      return warnings_of("targets: {far: {kind: provider, base_url: 'https://a/v1', " + models +
                         ", " + more + "}}\n");
    };
    EXPECT_THAT(asked(usual), testing::ElementsAre(HasSubstr("sound is booked at"))) << hears;
    EXPECT_THAT(asked("takes: [tools], " + usual), IsEmpty()) << hears;
    EXPECT_THAT(asked("price_per_million: {input: 3usd, output: 15usd, audio_input: 32usd}"),
                IsEmpty())
        << hears;
  }
  for (const std::string writes : {"anthropic/claude-sonnet-5", "gpt-5.6-sol", "gpt-5.5"}) {
    const std::string yaml =
        "targets: {far: {kind: provider, base_url: 'https://a/v1', serves: {m: " + writes + "}, " +
        usual + "}}\n";
    const auto warned = warnings_of(yaml);
    EXPECT_EQ(warned.size(), writes == "gpt-5.5" ? 0U : 1U) << writes;
    EXPECT_THAT(warned, testing::Each(HasSubstr("cache_write"))) << writes;
  }
  EXPECT_THAT(
      warnings_of(target("dialect: anthropic, price_per_search: 0.01usd, price_per_million: "
                         "{input: 3usd, output: 15usd, cache_write: 3.75usd}")),
      IsEmpty());
}

const std::string kLocal = "targets: {here: {kind: local, executor: synthetic, serves: [a, b]}}\n";

TEST(ConfigWarnings, ClassesThatNothingReaches) {
  EXPECT_THAT(
      warnings_of(kLocal + R"(default_class: rest
classes:
  rest: {}
  lost: {}
  named: {match: by_name}
  wide: {match: {model: [a, b]}}
  shadowed: {match: [{model: a, service_tier: flex}, {model: b}]}
  not_shadowed: {match: [{model: a}, {service_tier: flex}]}
)"),
      ElementsAre("5:3: classes.lost: nothing reaches it: it has no `match`, no key names it "
                  "and it is not the default; `match: by_name` says that this is meant",
                  "8:21: classes.shadowed.match: nothing reaches it: class `wide` stands "
                  "before it and takes whatever fits"));
}

TEST(ConfigWarnings, OpenDoorsAndMissingEngines) {
  EXPECT_THAT(
      warnings_of("server: {listen: 0.0.0.0:8080, admin: 0.0.0.0:9090}\n" + kLocal),
      ElementsAre("1:18: server.listen: there are no `keys`: whoever reaches this address is "
                  "served",
                  "1:39: server.admin: whoever reaches this address reads metrics and "
                  "configuration"));
  EXPECT_THAT(
      warnings_of(R"(keys: {a: {secret: env:OTHER, local_only: true}}
classes: {inside: {spill: never}}
targets:
  p: {kind: provider, base_url: 'https://h/v1', serves: m,
      price_per_million: {input: 1usd, output: 1usd}}
)"),
      ElementsAre("1:43: keys.a.local_only: there is no local target: every request of this "
                  "key will be refused",
                  "2:27: classes.inside.spill: there is no local target: every request of "
                  "this class will be refused"));
}

const std::string kEncoder = R"(targets:
  mini: {kind: encoder, model: models/minilm, serves: minilm, threads: 2, waiting_max: 7}
)";

TEST(ConfigLoad, AnEncoderIsAProviderOfEmbeddingsThatIsHere) {
  const auto settings = settings_of(kEncoder);
  ASSERT_EQ(settings->providers.size(), 1U);
  const ProviderTarget& mini = settings->providers[0];
  EXPECT_TRUE(mini.is_here());
  EXPECT_THAT(mini.endpoints, ElementsAre("embeddings"));
  EXPECT_EQ(mini.encoder, (Encoder{"models/minilm", 2, 7}));
  EXPECT_EQ(mini.price, Price{});
  EXPECT_EQ(settings_of(effective_yaml(*settings))->providers, settings->providers);
  EXPECT_THAT(
      lines(load_text("targets: {e: {kind: encoder, serves: m}}", "", test_environment).problems),
      ElementsAre(HasSubstr("model")));
}

TEST(ConfigWarnings, AnEncoderAnswersWhatMustStay) {
  EXPECT_THAT(warnings_of(kEncoder + "classes: {inside: {spill: never}}\n"), IsEmpty());
}

TEST(ConfigReload, AnEncoderNeedsARestart) {
  const auto with = settings_of(kEncoder);
  Settings other = *with;
  other.providers[0].price.input_per_million = 1;
  EXPECT_THAT(restart_needed(*with, other), IsEmpty());
  other.providers[0].encoder.threads = 4;
  EXPECT_THAT(restart_needed(*with, other), ElementsAre("targets.mini.threads"));
  Settings without = *with;
  without.providers.clear();
  EXPECT_THAT(restart_needed(without, *with), ElementsAre("targets.mini"));
}

TEST(ConfigReload, NamesWhatNeedsARestart) {
  const Settings before = *load_file(kFolder + "spillway.yaml", test_environment).settings;
  EXPECT_THAT(restart_needed(before, before), IsEmpty());

  Settings live = before;
  live.policy.classes[0].sla.ttft = Milliseconds(500);
  live.providers[0].price.input_per_million = 1;
  live.keys.clear();
  live.log.level = "debug";
  live.providers.pop_back();
  EXPECT_THAT(restart_needed(before, live), IsEmpty());

  Settings other = live;
  other.server.listen.port = 1;
  other.server.limits.body_bytes_max = 1;
  other.local[0].model_path = "other.gguf";
  EXPECT_THAT(restart_needed(before, other),
              ElementsAre("server.listen", "server.body_max", "targets.local.model"));

  Settings renamed = before;
  renamed.local[0].name = "gpu";
  EXPECT_THAT(restart_needed(before, renamed), ElementsAre("targets.local", "targets.gpu"));
}

}  // namespace
}  // namespace spillway::config
