#include "gateway/admin/usage_answers.h"

#include "gateway/account/audit.h"
#include "gateway/account/usage.h"
#include "gateway/admin/json_answer.h"
#include "gateway/admin/usage_query.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <utility>

namespace spillway::admin {
namespace {

using account::Dimension;
using account::in_usd;
using account::UsageRow;
using nlohmann::ordered_json;

constexpr std::int64_t kSecondsPerHour = 3'600;

Answer refusal(const Error& error) {
  const bool is_wrong = error.code == Errc::invalid_request;
  return in_json(
      is_wrong ? 400 : 500,
      {{"error",
        {{"message", error.message},
         {"type", is_wrong ? "invalid_request_error" : "server_error"},
         {"param", error.param.empty() ? ordered_json(nullptr) : ordered_json(error.param)},
         {"code", nullptr}}}});
}

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
                                    {"input_cached_tokens", row.cached_tokens}},
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

Result<Answer> page_of(account::BookReader& book, const UsageQuery& asked, account::Asked of,
                       ResultOf result_of) {
  const std::int64_t end = std::min(asked.until, asked.from + asked.limit * asked.width);
  account::UsageQuestion question{asked.from, end, asked.by, of, asked.only};
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

Answer page(account::BookReader& book, const Result<UsageQuery>& asked, account::Asked of,
            ResultOf result_of) {
  if (!asked) return refusal(asked.error());
  auto made = page_of(book, *asked, of, result_of);
  return made ? std::move(*made) : refusal(made.error());
}

}  // namespace

Answer UsageAnswers::completions(std::string_view query) {
  return page(*book_, read_usage_query(query, UsagePage::usage), account::Asked::answers,
              completions_result);
}

Answer UsageAnswers::embeddings(std::string_view query) {
  return page(*book_, read_usage_query(query, UsagePage::usage), account::Asked::embeddings,
              embeddings_result);
}

Answer UsageAnswers::moderations(std::string_view query) {
  return page(*book_, read_usage_query(query, UsagePage::usage), account::Asked::moderations,
              moderations_result);
}

Answer UsageAnswers::costs(std::string_view query) {
  return page(*book_, read_usage_query(query, UsagePage::costs), account::Asked::all, cost_result);
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
