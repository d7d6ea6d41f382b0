#include "config/cross_check.h"

#include "config/bounded_file.h"
#include "config/named.h"
#include "config/nearest.h"
#include "config/references.h"
#include "config/residency.h"
#include "config/value.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <variant>

namespace spillway::config {
namespace {

constexpr std::size_t kBundleBytesMax = 16 << 20;

std::string show(Milliseconds duration) {
  return format_value(Kind::duration, Value(duration.count() * kNanosecondsPerMillisecond));
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.");
}

std::string_view host_of(std::string_view url) {
  url.remove_prefix(url.find("//") + 2);
  const auto end = url.starts_with('[') ? url.find(']') + 1 : url.find_first_of(":/");
  return url.substr(0, end);
}

// True if whatever fits `narrow` fits `wide` as well.
bool covers(const Names& wide, const Names& narrow) {
  if (wide.empty()) return true;
  return !narrow.empty() && std::all_of(narrow.begin(), narrow.end(), [&](const auto& one) {
    return std::find(wide.begin(), wide.end(), one) != wide.end();
  });
}

bool covers(const ClassMatch& wide, const ClassMatch& narrow) {
  return covers(wide.keys, narrow.keys) && covers(wide.service_tiers, narrow.service_tiers) &&
         covers(wide.models, narrow.models) && covers(wide.endpoints, narrow.endpoints);
}

// Whether one of its models is called so at the provider.
bool is_named(const ProviderTarget& provider, std::initializer_list<std::string_view> words) {
  return std::any_of(provider.serves.begin(), provider.serves.end(),
                     [&](const ServedModel& served) {
                       return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
                         return served.upstream.find(word) != served.upstream.npos;
                       });
                     });
}

// Whether sound may reach it and be answered: models that do not hear refuse it. All of Gemini's
// do, of others those that are called for it.
bool may_hear(const ProviderTarget& provider) {
  if (!provider.takes.empty())
    return std::find(provider.takes.begin(), provider.takes.end(), "audio") != provider.takes.end();
  return provider.dialect == "gemini" ||
         is_named(provider, {"audio", "omni", "realtime", "voxtral"});
}

// Whether what it puts into its cache costs more: Anthropic's models, whoever sells them, and
// OpenAI's from GPT-5.6 on.
bool bills_cache_writes(const ProviderTarget& provider) {
  return provider.dialect == "anthropic" ||
         is_named(provider, {"claude", "gpt-5.6", "gpt-5.7", "gpt-5.8", "gpt-5.9", "gpt-6"});
}

class CrossCheck {
 public:
  CrossCheck(const Settings& settings, const Places& places)
      : settings_(settings), places_(places), policy_(settings.policy) {}

  std::vector<Problem> run() {
    check_server();
    check_batches();
    for (const Key& key : settings_.keys) check_key(key);
    for (const LocalTarget& local : settings_.local) check_local(local);
    for (const ProviderTarget& provider : settings_.providers) check_provider(provider);
    for (std::size_t i = 0; i < policy_.classes.size(); ++i) {
      check_reach(i);
      check_promise(policy_.classes[i]);
      check_turns(policy_.classes[i]);
      check_hedge(policy_.classes[i]);
      check_feedback(policy_.classes[i]);
    }
    std::stable_sort(warnings_.begin(), warnings_.end(), [](const Problem& a, const Problem& b) {
      return std::pair(a.line, a.column) < std::pair(b.line, b.column);
    });
    return std::move(warnings_);
  }

 private:
  void warn(const std::string& path, std::string message) {
    const Place place = places_.of(path);
    warnings_.push_back({place.line, place.column, path, std::move(message)});
  }

  void check_server() {
    if (settings_.keys.empty() && !is_loopback(settings_.server.listen.host)) {
      warn("server.listen", "there are no `keys`: whoever reaches this address is served");
    }
    if (!is_loopback(settings_.server.admin.host)) {
      warn("server.admin", "whoever reaches this address reads metrics and configuration");
    }
  }

  // Its class is that of every line, whatever class the key's other requests have.
  void check_batches() {
    const RequestClass* const in_batches = named(policy_.classes, settings_.batch.request_class);
    if (in_batches == nullptr || !in_batches->residency.empty()) return;
    for (const RequestClass& one : policy_.classes) {
      if (one.residency.empty() || one.by_name) continue;
      return warn("batch.class",
                  "lines of batches are of this class, which has no `residency`, "
                  "also those of who is of class '" +
                      one.name + "' else");
    }
  }

  void check_local(const LocalTarget& local) {
    const bool readable = ::access(local.model_path.c_str(), R_OK) == 0;
    if (local.executor == "synthetic" || readable) return;
    warn("targets." + local.name + ".model", "there is no readable file or folder " +
                                                 in_quotes(local.model_path) +
                                                 " as seen from here");
  }

  // What costs more than usual is booked too low where the file has but the usual price.
  void check_prices(const ProviderTarget& provider, const std::string& path) {
    const Price& price = provider.price;
    const auto takes = [&](const char* what) {
      return std::find(provider.takes.begin(), provider.takes.end(), what) != provider.takes.end();
    };
    const bool anthropic = provider.dialect == "anthropic";
    if ((anthropic || takes("search")) && price.per_search == 0)
      warn(path + ".price_per_search", "is nothing: what it looks up in the web is booked as free");
    if (bills_cache_writes(provider) && price.input_per_million > 0 &&
        price.cache_write_per_million <= price.input_per_million)
      warn(path + ".price_per_million.cache_write",
           "is no more than the input's: for this model 1.25 times that price is asked");
    const bool as_text = price.audio_input_per_million <= price.input_per_million &&
                         price.audio_output_per_million <= price.output_per_million;
    if (may_hear(provider) && as_text && price.input_per_million > 0)
      warn(path + ".price_per_million.audio_input",
           "sound is booked at the price of text: say what it costs, or in `takes` that there is "
           "none");
  }

  // What is asked is added to an address; and a bundle has certificates in it.
  void check_addresses(const ProviderTarget& provider, const std::string& path) {
    for (const std::string& url : provider.base_urls) {
      for (const std::string_view asked : {"/completions", "/messages", "/responses"}) {
        if (url.ends_with(asked))
          warn(path + ".base_url", "ends in " + std::string(asked) +
                                       ", which is added to it: write what stands before, such as "
                                       "https://api.example.com/v1");
      }
    }
    if (provider.ca_file.empty()) return;
    const auto bytes = read_bounded(provider.ca_file, kBundleBytesMax);
    const auto* text = std::get_if<std::string>(&bytes);
    if (text == nullptr)
      warn(path + ".ca_file", "cannot read " + in_quotes(provider.ca_file) +
                                  " as seen from here: " + std::get<Unreadable>(bytes).reason);
    else if (text->find("CERTIFICATE-----") == text->npos)
      warn(path + ".ca_file",
           "there is no certificate in " + in_quotes(provider.ca_file) + ", in PEM");
  }

  void check_provider(const ProviderTarget& provider) {
    const std::string path = "targets." + provider.name;
    const auto in_clear = [](const std::string& url) {
      return url.starts_with("http://") && !is_loopback(host_of(url));
    };
    const auto& urls = provider.base_urls;
    if (!provider.key_source.empty() && std::any_of(urls.begin(), urls.end(), in_clear))
      warn(path + ".base_url", "the key travels in clear: use https://");
    check_addresses(provider, path);
    if (provider.measured.ttft_p99 < provider.measured.ttft_p50) {
      warn(path + ".measured.ttft_p99", "is less than ttft_p50");
    }
    if (provider.timeouts.first_token < provider.measured.ttft_p99) {
      warn(path + ".timeouts.first_token",
           "gives up before measured.ttft_p99, " + show(provider.measured.ttft_p99));
    }
    if (provider.price.batch_discount > 0.0 && provider.dialect == "anthropic") {
      warn(path + ".batch_discount", "is never earned: dialect anthropic has no cheaper tier");
    }
    check_prices(provider, path);
    if (provider.batches.enabled && provider.batches.window >= settings_.batch.window)
      warn(path + ".batches.window", "leaves no time: a batch has " + show(settings_.batch.window) +
                                         " in all (batch.window)");
    if (provider.breaker.failures_min > provider.breaker.window) {
      warn(path + ".breaker.failures_min", "is more than `window`: the breaker never opens");
    }
  }

  void check_hedge(const RequestClass& one) {
    if (one.hedge.enabled && policy_.attempts_max < 2)
      warn("classes." + one.name + ".hedge",
           "asks nobody: limits.attempts_max is 1, so that there is no second");
    if (one.hedge.enabled && one.spill == Spill::never)
      warn("classes." + one.name + ".hedge",
           "is never done: with `spill: never` nobody is asked "
           "beside the local target");
  }

  void check_turns(const RequestClass& one) {
    const auto& providers = settings_.providers;
    const bool has_turns = std::any_of(providers.begin(), providers.end(), [&](const auto& each) {
      return one.uses(each.name) && each.weight > 0.0;
    });
    if (one.prefer == Prefer::weighted && !has_turns && !providers.empty())
      warn("classes." + one.name + ".prefer",
           "gives nobody a turn: the `weight` of each of its providers is 0");
  }

  void check_feedback(const RequestClass& one) {
    const Feedback& feedback = one.feedback;
    if (!feedback.enabled) return;
    const std::string path = "classes." + one.name + ".feedback";
    if (one.spill == Spill::never)
      warn(path, "moves nothing: with `spill: never` all stay, late or not");
    else if (!one.sla.ttft)
      warn(path, "moves nothing: the class has no sla.ttft");
    if (feedback.headroom_min > feedback.headroom_max)
      warn(path + ".headroom_min", "is more than headroom_max, which counts");
    else if (one.ttft_headroom < feedback.headroom_min || one.ttft_headroom > feedback.headroom_max)
      warn(path,
           "begins outside its bounds: ttft_headroom is not between headroom_min and headroom_max");
    if (feedback.spend_per_hour_max && !one.promise_price_max)
      warn(path + ".spend_per_hour_max", "bounds nothing: the class has no promise_price_max");
  }

  void check_reach(std::size_t index) {
    const RequestClass& one = policy_.classes[index];
    const std::string path = "classes." + one.name;
    if (one.match.empty()) {
      if (one.by_name || is_named(one.name)) return;
      warn(path,
           "nothing reaches it: it has no `match`, no key names it and it is not the "
           "default; `match: by_name` says that this is meant");
      return;
    }
    std::string first;
    for (const ClassMatch& match : one.match) {
      const std::string earlier = earlier_with(match, index);
      if (earlier.empty()) return;
      first = earlier;
    }
    warn(path + ".match", "nothing reaches it: class `" + first +
                              "` stands before it and takes "
                              "whatever fits");
  }

  bool is_named(const std::string& name) const {
    if (policy_.default_class == name) return true;
    return std::any_of(settings_.keys.begin(), settings_.keys.end(),
                       [&](const Key& key) { return key.default_class == name; });
  }

  std::string earlier_with(const ClassMatch& match, std::size_t index) const {
    for (std::size_t i = 0; i < index; ++i) {
      for (const ClassMatch& wide : policy_.classes[i].match) {
        if (covers(wide, match)) return policy_.classes[i].name;
      }
    }
    return "";
  }

  void check_promise(const RequestClass& one) {
    const std::string path = "classes." + one.name;
    if (one.spill == Spill::never) {
      if (!someone_is_here(settings_)) {
        warn(path + ".spill",
             "there is no local target: every request of this class will be refused");
      }
    } else {
      check_architectures(one, path);
      check_residency(one, path);
      for (const ProviderTarget& provider : settings_.providers) {
        if (one.uses(provider.name)) check_provider_keeps(one.sla, provider, path + ".sla");
      }
    }
    if (one.spill >= Spill::cheapest_before_deadline || !one.sla.per_token) return;
    for (const LocalTarget& local : settings_.local) {
      const double alone_ms = local.step_prior.base_ms + local.step_prior.per_sequence_ms;
      if (alone_ms <= static_cast<double>(one.sla.per_token->count())) continue;
      warn(path + ".sla.per_token", "target `" + local.name + "` takes longer for a token than " +
                                        show(*one.sla.per_token) +
                                        " even alone, by its step_prior");
    }
  }

  void check_architectures(const RequestClass& one, const std::string& path) {
    const auto& providers = settings_.providers;
    const bool some =
        std::any_of(providers.begin(), providers.end(), [&](const ProviderTarget& provider) {
          return one.uses(provider.name) && one.takes_architecture(provider.architecture);
        });
    if (!some && !providers.empty() && !one.architectures.empty())
      warn(path + ".architectures", "none of the class's providers says that it has one of these");
  }

  // Where nobody is here, it is an error.
  void check_residency(const RequestClass& one, const std::string& path) {
    if (settings_.providers.empty() || has_a_place(settings_, one)) return;
    warn(path + ".residency",
         "none of the class's providers says that its data stays there: its requests stay on this "
         "machine, or are refused" +
             suggestion(one.residency.front(), residencies_of(settings_)));
  }

  void check_key(const Key& key) {
    const std::string path = "keys." + key.name;
    if (key.local_only && !someone_is_here(settings_))
      warn(path + ".local_only",
           "there is no local target: every request of this key will be refused");
    const bool some = std::any_of(settings_.providers.begin(), settings_.providers.end(),
                                  [&](const ProviderTarget& provider) {
                                    return lets_go_to(key.residency, provider.residency);
                                  });
    if (!some && !settings_.providers.empty() && !key.local_only)
      warn(path + ".residency",
           "no provider says that its data stays there: no request of this key "
           "leaves this machine" +
               suggestion(key.residency.front(), residencies_of(settings_)));
  }

  void check_provider_keeps(const Sla& sla, const ProviderTarget& provider,
                            const std::string& path) {
    const Measured& measured = provider.measured;
    const std::string who = "target `" + provider.name + "` ";
    if (sla.ttft && measured.ttft_p50 > *sla.ttft) {
      warn(path + ".ttft", who + "misses " + show(*sla.ttft) +
                               " more often than not: its ttft_p50 is " + show(measured.ttft_p50));
    }
    if (sla.deadline && measured.ttft_p50 > *sla.deadline) {
      warn(path + ".deadline", who + "has no token by then more often than not: its ttft_p50 is " +
                                   show(measured.ttft_p50));
    }
    const double token_ms = 1'000.0 / measured.tokens_per_second;
    if (sla.per_token && token_ms > static_cast<double>(sla.per_token->count())) {
      warn(path + ".per_token", who + "is slower than " + show(*sla.per_token) +
                                    " a token: it has " +
                                    format_value(Kind::decimal, Value(measured.tokens_per_second)) +
                                    " tokens_per_second");
    }
  }

  const Settings& settings_;
  const Places& places_;
  const Policy& policy_;
  std::vector<Problem> warnings_;
};

}  // namespace

std::vector<Problem> cross_check(const Settings& settings, const Places& places) {
  return CrossCheck(settings, places).run();
}

}  // namespace spillway::config
