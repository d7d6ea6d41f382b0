#include "gateway/admin/usage_answers.h"

#include "gateway/account/audit.h"
#include "gateway/account/calendar.h"
#include "gateway/account/usage.h"
#include "gateway/admin/json_answer.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace spillway::admin {
namespace {

using account::Dimension;
using account::UsageRow;
using nlohmann::ordered_json;

constexpr std::int64_t kSecondsPerHour = 3'600;
constexpr std::int64_t kHoursPerDay = 24;
constexpr std::int64_t kBucketsMax = 744;  // A month of hours.

// OpenAI's names for what can be grouped by, and what it is here.
constexpr std::pair<std::string_view, Dimension> kGroups[] = {
    {"project_id", Dimension::project},  {"api_key_id", Dimension::key},
    {"model", Dimension::model},         {"tenant", Dimension::tenant},
    {"class", Dimension::request_class}, {"target", Dimension::target},
    {"line_item", Dimension::target},
};

struct Asked {
  std::int64_t from = 0;  // Hours since 1970.
  std::int64_t until = 0;
  std::int64_t width = kHoursPerDay;
  std::int64_t limit = 7;
  std::vector<std::string_view> groups;  // OpenAI's names.
  std::vector<Dimension> by;
};

Error wrong(std::string message) {
  return {Errc::invalid_request, std::move(message), "", std::nullopt};
}

Answer refusal(const Error& error) {
  const bool is_wrong = error.code == Errc::invalid_request;
  return in_json(is_wrong ? 400 : 500,
                 {{"error",
                   {{"message", error.message},
                    {"type", is_wrong ? "invalid_request_error" : "server_error"},
                    {"param", nullptr},
                    {"code", nullptr}}}});
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// The name without the brackets that lists are sent with, as they are or percent-encoded.
std::string_view plain(std::string_view name) {
  for (const std::string_view brackets : {"[]", "%5B%5D", "%5b%5d"}) {
    if (name.ends_with(brackets)) name.remove_suffix(brackets.size());
  }
  return name;
}

std::optional<Error> add_groups(std::string_view names, Asked& asked) {
  while (!names.empty()) {
    const std::string_view name = names.substr(0, std::min(names.find(','), names.find("%2C")));
    names.remove_prefix(
        std::min(names.size(), name.size() + (names.substr(name.size()).starts_with("%") ? 3 : 1)));
    const auto* group = std::find_if(std::begin(kGroups), std::end(kGroups),
                                     [name](const auto& one) { return one.first == name; });
    if (group == std::end(kGroups))
      return wrong("group_by: there is no '" + std::string(name) + "' to group by");
    asked.groups.push_back(group->first);
    asked.by.push_back(group->second);
  }
  return std::nullopt;
}

std::optional<Error> read_pair(std::string_view name, std::string_view value, Asked& asked,
                               std::optional<std::int64_t>& start, bool& ended) {
  if (name == "group_by") return add_groups(value, asked);
  if (name == "bucket_width") {
    if (value != "1h" && value != "1d") return wrong("bucket_width: 1h or 1d are kept");
    asked.width = value == "1h" ? 1 : kHoursPerDay;
    return std::nullopt;
  }
  if (name != "start_time" && name != "end_time" && name != "limit" && name != "page")
    return std::nullopt;
  const auto read = number(value);
  if (!read) return wrong(std::string(name) + ": must be a number");
  if (name == "start_time" && !start) start = *read / kSecondsPerHour;
  if (name == "page") start = *read / kSecondsPerHour;
  if (name == "limit") asked.limit = *read;
  if (name == "end_time") {
    asked.until = (*read + kSecondsPerHour - 1) / kSecondsPerHour;
    ended = true;
  }
  return std::nullopt;
}

Result<Asked> asked_of(std::string_view query) {
  Asked asked;
  std::optional<std::int64_t> start;
  bool ended = false;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const std::string_view name = plain(pair.substr(0, pair.find('=')));
    const std::string_view value =
        pair.find('=') == std::string_view::npos ? "" : pair.substr(pair.find('=') + 1);
    if (auto mistake = read_pair(name, value, asked, start, ended)) return std::move(*mistake);
  }
  if (!start) return wrong("start_time: is missing: seconds since 1970");
  asked.from = *start / asked.width * asked.width;
  if (!ended) asked.until = account::wall_milliseconds() / account::kMillisecondsPerHour + 1;
  if (asked.limit < 1 || asked.limit > kBucketsMax)
    return wrong("limit: must be from 1 to " + std::to_string(kBucketsMax));
  return asked;
}

double in_usd(account::NanoUsd amount) { return static_cast<double>(amount) / 1e9; }

using ResultOf = ordered_json (*)(const UsageRow& row);

// What the results of all kinds of usage end with.
ordered_json with_whose(ordered_json result, const UsageRow& row) {
  result["num_model_requests"] = row.requests;
  for (const char* name : {"project_id", "user_id", "api_key_id", "model"}) result[name] = nullptr;
  return result;
}

ordered_json completions_result(const UsageRow& row) {
  ordered_json result = with_whose({{"object", "organization.usage.completions.result"},
                                    {"input_tokens", row.prompt_tokens},
                                    {"output_tokens", row.completion_tokens},
                                    {"input_cached_tokens", row.cached_tokens},
                                    {"input_audio_tokens", 0},
                                    {"output_audio_tokens", 0}},
                                   row);
  result["batch"] = result["service_tier"] = nullptr;
  return result;
}

ordered_json embeddings_result(const UsageRow& row) {
  return with_whose(
      {{"object", "organization.usage.embeddings.result"}, {"input_tokens", row.prompt_tokens}},
      row);
}

ordered_json moderations_result(const UsageRow& row) {
  return with_whose(
      {{"object", "organization.usage.moderations.result"}, {"input_tokens", row.prompt_tokens}},
      row);
}

ordered_json cost_result(const UsageRow& row) {
  return {{"object", "organization.costs.result"},
          {"amount", {{"value", in_usd(row.cost)}, {"currency", "usd"}}},
          {"line_item", nullptr},
          {"project_id", nullptr},
          {"api_key_id", nullptr},
          {"avoided", {{"value", in_usd(row.avoided)}, {"currency", "usd"}}}};
}

Result<Answer> page_of(account::BookReader& book, const Asked& asked, account::Asked of,
                       ResultOf result_of) {
  const std::int64_t end = std::min(asked.until, asked.from + asked.limit * asked.width);
  account::UsageQuestion question{asked.from, end, asked.by, of};
  question.by.insert(question.by.begin(), asked.width == 1 ? Dimension::hour : Dimension::day);
  auto rows = account::usage(book, question);
  if (!rows) return rows.error();
  std::map<std::int64_t, ordered_json> results;  // By the bucket's first hour.
  for (std::int64_t hour = asked.from; hour < end; hour += asked.width)
    results[hour] = ordered_json::array();
  for (const UsageRow& row : *rows) {
    ordered_json result = result_of(row);
    for (std::size_t i = 0; i < asked.groups.size(); ++i)
      result[std::string(asked.groups[i])] = row.names[i + 1];
    results[std::stoll(row.names.front()) * asked.width].push_back(std::move(result));
  }
  ordered_json buckets = ordered_json::array();
  for (auto& [hour, inside] : results) {
    buckets.push_back({{"object", "bucket"},
                       {"start_time", hour * kSecondsPerHour},
                       {"end_time", (hour + asked.width) * kSecondsPerHour},
                       {"results", std::move(inside)}});
  }
  const bool more = end < asked.until;
  return in_json(200, {{"object", "page"},
                       {"data", std::move(buckets)},
                       {"has_more", more},
                       {"next_page", more ? ordered_json(std::to_string(end * kSecondsPerHour))
                                          : ordered_json(nullptr)}});
}

Answer page(account::BookReader& book, const Result<Asked>& asked, account::Asked of,
            ResultOf result_of) {
  if (!asked) return refusal(asked.error());
  auto made = page_of(book, *asked, of, result_of);
  return made ? std::move(*made) : refusal(made.error());
}

}  // namespace

Answer UsageAnswers::completions(std::string_view query) {
  return page(*book_, asked_of(query), account::Asked::answers, completions_result);
}

Answer UsageAnswers::embeddings(std::string_view query) {
  return page(*book_, asked_of(query), account::Asked::embeddings, embeddings_result);
}

Answer UsageAnswers::moderations(std::string_view query) {
  return page(*book_, asked_of(query), account::Asked::moderations, moderations_result);
}

Answer UsageAnswers::costs(std::string_view query) {
  auto asked = asked_of(query);
  if (asked && asked->width != kHoursPerDay) asked = wrong("bucket_width: costs come by 1d");
  return page(*book_, asked, account::Asked::all, cost_result);
}

Answer UsageAnswers::audit() {
  const auto found = account::audit(*book_);
  if (!found) return refusal(found.error());
  return in_json(200, {{"sound", found->broken.empty()},
                       {"broken", found->broken},
                       {"requests", found->requests},
                       {"entries", found->entries},
                       {"amount_nano_usd", found->amount},
                       {"in_doubt", found->in_doubt},
                       {"in_doubt_nano_usd", found->in_doubt_amount}});
}

}  // namespace spillway::admin
