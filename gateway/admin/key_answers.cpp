#include "gateway/admin/key_answers.h"

#include "config/value.h"
#include "gateway/account/calendar.h"
#include "gateway/admin/json_answer.h"
#include "gateway/admin/key_names.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace spillway::admin {
namespace {

using account::MadeKey;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr int kCountMax = 2'000'000'000;

Answer refusal(const Error& error) {
  const auto status = [&error] {
    switch (error.code) {
      case Errc::not_found: return 404;
      case Errc::invalid_request: return 400;
      case Errc::conflict: return 409;
      case Errc::overloaded: return 503;
      default: return 500;
    }
  };
  Answer answer = in_json(status(), {{"error", error.message}});
  if (error.retry_after)
    answer.retry_after = std::chrono::ceil<std::chrono::seconds>(*error.retry_after);
  return answer;
}

Error wrong(const std::string& member, const std::string& why) {
  return {Errc::invalid_request, member + ": " + why, member, std::nullopt};
}

// Reads the members of one object; the first mistake stays.
class Members {
 public:
  Members(const json& object, std::string path) : object_(object), path_(std::move(path)) {
    if (!object.is_object() && !object.is_null()) fail("", "must be an object");
  }

  void names(const char* name, std::vector<std::string>& into) {
    const json* value = take(name);
    if (!value) return;
    const json list = value->is_string() ? json::array({*value}) : *value;
    if (!list.is_array()) return fail(name, "must be a list of names");
    if (list.empty()) return fail(name, "names none: leave it out where all are meant");
    for (const json& one : list) {
      if (!one.is_string() || !config::is_model_name(one.get<std::string>()))
        return fail(name, "must be a list of names");
      into.push_back(one.get<std::string>());
    }
  }

  void name(const char* name, std::string& into) {
    const json* value = take(name);
    if (!value) return;
    if (!value->is_string() || !config::is_name(value->get<std::string>()))
      return fail(name, std::string(config::kNameRule));
    into = value->get<std::string>();
  }

  void flag(const char* name, bool& into) {
    const json* value = take(name);
    if (!value) return;
    if (!value->is_boolean()) return fail(name, "must be true or false");
    into = value->get<bool>();
  }

  void count(const char* name, int& into) {
    const json* value = take(name);
    if (!value) return;
    const auto number = value->is_number_unsigned() ? value->get<std::uint64_t>() : 0;
    if (number < 1 || number > kCountMax)
      return fail(name, "must be a whole number from 1 to 2000000000, or left out for no limit");
    into = value->get<int>();
  }

  void share(const char* name, double& into) {
    const json* value = take(name);
    if (!value) return;
    const bool is_share =
        value->is_number() && value->get<double>() >= 0.0 && value->get<double>() <= 1.0;
    if (!is_share) return fail(name, "must be a number from 0 to 1");
    into = value->get<double>();
  }

  // As in the configuration: "100usd", "720h".
  std::optional<std::int64_t> amount(const char* name, config::Kind kind) {
    const json* value = take(name);
    if (!value) return std::nullopt;
    if (!value->is_string()) {
      fail(name, "must be " + config::expectation(kind) + ", in quotes");
      return std::nullopt;
    }
    const auto parsed = config::parse_value(kind, value->get<std::string>());
    if (const auto* mistake = std::get_if<config::Mistake>(&parsed)) {
      fail(name, mistake->message);
      return std::nullopt;
    }
    return std::get<std::int64_t>(std::get<config::Value>(parsed));
  }

  Members inner(const char* name) {
    static const json kNothing;
    const json* value = take(name);
    return Members(value ? *value : kNothing, path_ + name + ".");
  }

  void join(Members& inner) {
    if (!mistake_) mistake_ = inner.finish();
  }

  // What is wrong, members that are not known included.
  std::optional<Error> finish() {
    if (mistake_ || !object_.is_object()) return mistake_;
    for (const auto& [name, value] : object_.items()) {
      if (std::find(known_.begin(), known_.end(), name) == known_.end())
        fail(name.c_str(), "there is no such member");
    }
    return mistake_;
  }

 private:
  const json* take(const char* name) {
    known_.emplace_back(name);
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  void fail(const std::string& name, const std::string& why) {
    if (!mistake_) mistake_ = wrong(path_ + name, why);
  }

  const json& object_;
  const std::string path_;
  std::vector<std::string> known_;
  std::optional<Error> mistake_;
};

struct Wanted {
  config::Key key;
  std::optional<std::int64_t> expires;
};

Result<Wanted> wanted_of(std::string_view body) {
  const json object = json::parse(body, nullptr, false);
  if (!object.is_object()) return wrong("body", "must be a JSON object");
  Wanted wanted;
  config::Key& key = wanted.key;
  Members members(object, "");
  members.name("name", key.name);
  members.name("tenant", key.tenant);
  members.name("project", key.project);
  members.name("class", key.default_class);
  members.names("classes", key.classes);
  members.names("models", key.models);
  members.names("scopes", key.scopes);
  members.flag("local_only", key.local_only);
  members.names("residency", key.residency);
  if (const auto time = members.amount("expires_in", config::Kind::duration)) {
    if (*time < kNanosecondsPerSecond) return wrong("expires_in", "must be at least a second");
    wanted.expires = account::wall_milliseconds() / 1'000 + *time / kNanosecondsPerSecond;
  }
  Members limits = members.inner("limits");
  limits.count("requests_per_minute", key.limits.requests_per_minute);
  limits.count("tokens_per_minute", key.limits.tokens_per_minute);
  limits.count("concurrency", key.limits.concurrency);
  members.join(limits);
  Members budget = members.inner("budget");
  key.budget.day = budget.amount("day", config::Kind::money);
  key.budget.month = budget.amount("month", config::Kind::money);
  budget.share("warn_at", key.budget.warn_at);
  budget.flag("hard", key.budget.hard);
  members.join(budget);
  if (auto mistake = members.finish()) return std::move(*mistake);
  if (key.name.empty()) return wrong("name", "is missing: what to call the key");
  if (key.tenant.empty()) key.tenant = key.name;
  return wanted;
}

ordered_json in_usd(const std::optional<config::NanoUsd>& amount) {
  if (!amount) return nullptr;
  return config::format_value(config::Kind::money, config::Value(*amount));
}

ordered_json limit_in_json(int limit) {
  return limit > 0 ? ordered_json(limit) : ordered_json(nullptr);
}

ordered_json or_null(const std::optional<std::int64_t>& time) {
  return time ? ordered_json(*time) : ordered_json(nullptr);
}

ordered_json to_json(const MadeKey& made) {
  const config::Key& key = made.key;
  return {{"id", made.id},
          {"name", key.name},
          {"tenant", key.tenant},
          {"project", key.project},
          {"class", key.default_class},
          {"classes", key.classes},
          {"models", key.models},
          {"scopes", key.scopes},
          {"local_only", key.local_only},
          {"residency", key.residency},
          {"limits",
           {{"requests_per_minute", limit_in_json(key.limits.requests_per_minute)},
            {"tokens_per_minute", limit_in_json(key.limits.tokens_per_minute)},
            {"concurrency", limit_in_json(key.limits.concurrency)}}},
          {"budget",
           {{"day", in_usd(key.budget.day)},
            {"month", in_usd(key.budget.month)},
            {"warn_at", key.budget.warn_at},
            {"hard", key.budget.hard}}},
          {"created_at", made.created},
          {"expires_at", or_null(made.expires)},
          {"revoked_at", or_null(made.revoked)}};
}

Answer shown(int status, const Result<account::ShownKey>& shown) {
  if (!shown) return refusal(shown.error());
  ordered_json answer = {{"key", shown->secret}};
  answer.update(to_json(*shown->made));
  return in_json(status, answer);
}

}  // namespace

Answer KeyAnswers::make(std::string_view body) const {
  auto wanted = wanted_of(body);
  if (!wanted) return refusal(wanted.error());
  if (const auto mistake = unknown_name(wanted->key, *settings_())) return refusal(*mistake);
  if (!keeps_budgets_ && wanted->key.budget.limited())
    return refusal(wrong("budget", "nobody keeps it: it needs ledger.enabled: true"));
  const auto made = keys_.make(std::move(wanted->key), wanted->expires);
  if (made && made_) made_();
  return shown(201, made);
}

Answer KeyAnswers::rotate(std::string_view id, std::string_view body) const {
  const json object = body.empty() ? json::object() : json::parse(body, nullptr, false);
  if (!object.is_object()) return refusal(wrong("body", "must be a JSON object"));
  Members members(object, "");
  const std::int64_t overlap = members.amount("overlap", config::Kind::duration).value_or(0);
  if (const auto mistake = members.finish()) return refusal(*mistake);
  return shown(200, keys_.rotate(id, overlap / kNanosecondsPerSecond));
}

Answer KeyAnswers::list() const {
  ordered_json list = ordered_json::array();
  for (const auto& made : keys_.all()) list.push_back(to_json(*made));
  return in_json(200, {{"keys", std::move(list)}});
}

Answer KeyAnswers::show(std::string_view id) const {
  const auto made = keys_.show(id);
  return made ? in_json(200, to_json(**made)) : refusal(made.error());
}

Answer KeyAnswers::revoke(std::string_view id) const {
  const auto made = keys_.revoke(id);
  return made ? in_json(200, to_json(**made)) : refusal(made.error());
}

}  // namespace spillway::admin
