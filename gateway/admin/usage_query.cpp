#include "gateway/admin/usage_query.h"

#include "gateway/account/calendar.h"
#include "gateway/http/target.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

namespace spillway::admin {
namespace {

using account::Dimension;

constexpr std::int64_t kSecondsPerHour = 3'600;
constexpr std::int64_t kHoursPerDay = 24;
constexpr std::int64_t kBucketsMax = 744;  // A month of hours.
constexpr std::int64_t kBucketsByDefault = 7;
constexpr std::int64_t kNumberMax = 253'402'300'799;  // The last second of the year 9999.

// OpenAI's names for what can be grouped by, and what it is here.
constexpr std::pair<std::string_view, Dimension> kGroups[] = {
    {"project_id", Dimension::project},  {"api_key_id", Dimension::key},
    {"model", Dimension::model},         {"tenant", Dimension::tenant},
    {"class", Dimension::request_class}, {"target", Dimension::target},
    {"line_item", Dimension::target},
};

struct Filter {
  std::string_view name;
  Dimension dimension;
  bool of_usage;
  bool of_costs;
};

constexpr Filter kFilters[] = {
    {"project_ids", Dimension::project, true, true},
    {"api_key_ids", Dimension::key, true, true},
    {"models", Dimension::model, true, false},
    {"line_items", Dimension::target, false, true},
};

// What OpenAI's book has and ours does not, as groups and as filters, and what comes nearest.
constexpr std::pair<std::string_view, std::string_view> kNotKept[] = {
    {"user_id", "users are not booked; group by api_key_id or tenant"},
    {"user_ids", "users are not booked; ask for api_key_ids"},
    {"batch", "lines of batches are booked by their class; group by class"},
    {"service_tier", "tiers are booked by their class; group by class"},
    {"api_source", "where a request came from is not booked"},
};

Error wrong(std::string_view parameter, const std::string& message) {
  const std::string name(parameter);
  return {Errc::invalid_request, name + ": " + message, name, std::nullopt};
}

template <class Table>
auto find(const Table& table, std::string_view name) {
  return std::find_if(std::begin(table), std::end(table),
                      [name](const auto& row) { return row.first == name; });
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  if (!is_number || value < 0 || value > kNumberMax) return std::nullopt;
  return value;
}

// As forms write it: a plus is a space.
std::optional<std::string> decoded(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return http::percent_decode(spaced);
}

class Reading {
 public:
  explicit Reading(UsagePage page) : page_(page) { query_.width = kHoursPerDay; }

  Result<void> take(std::string_view name, const std::string& value) {
    if (name == "group_by") return add_groups(value);
    if (name == "bucket_width") return set_width(value);
    for (const auto& [known, field] : numbers_) {
      if (known == name) return set_number(name, value, *field);
    }
    const auto* filter = std::find_if(std::begin(kFilters), std::end(kFilters), [&](auto& one) {
      return one.name == name && (page_ == UsagePage::usage ? one.of_usage : one.of_costs);
    });
    if (filter != std::end(kFilters)) return add_name(filter->dimension, value), Result<void>();
    const auto* lacking = find(kNotKept, name);
    if (lacking != std::end(kNotKept)) return wrong(name, std::string(lacking->second));
    return wrong(name, "there is no such parameter here");
  }

  Result<UsageQuery> finish() {
    const auto start = page_start_ ? page_start_ : start_;
    if (!start) return wrong("start_time", "is missing: seconds since 1970");
    query_.from = *start / kSecondsPerHour / query_.width * query_.width;
    query_.until = end_ ? (*end_ + kSecondsPerHour - 1) / kSecondsPerHour
                        : account::wall_milliseconds() / account::kMillisecondsPerHour + 1;
    query_.limit = limit_.value_or(kBucketsByDefault);
    if (query_.limit < 1 || query_.limit > kBucketsMax)
      return wrong("limit", "must be from 1 to " + std::to_string(kBucketsMax));
    return std::move(query_);
  }

 private:
  Result<void> add_groups(std::string_view names) {
    while (!names.empty()) {
      const std::string_view name = names.substr(0, names.find(','));
      names.remove_prefix(std::min(names.size(), name.size() + 1));
      const auto* group = find(kGroups, name);
      const auto* lacking = find(kNotKept, name);
      if (lacking != std::end(kNotKept))
        return wrong("group_by", std::string(name) + ": " + std::string(lacking->second));
      if (group == std::end(kGroups))
        return wrong("group_by", "there is no '" + std::string(name) + "' to group by");
      query_.groups.push_back(group->first);
      query_.by.push_back(group->second);
    }
    return {};
  }

  Result<void> set_width(std::string_view value) {
    if (page_ == UsagePage::costs && value != "1d")
      return wrong("bucket_width", "costs come by the day: 1d");
    if (value == "1m")
      return wrong("bucket_width", "minutes are not kept: the book has whole hours; 1h or 1d");
    if (value != "1h" && value != "1d") return wrong("bucket_width", "must be 1h or 1d");
    query_.width = value == "1h" ? 1 : kHoursPerDay;
    return {};
  }

  static Result<void> set_number(std::string_view name, std::string_view value,
                                 std::optional<std::int64_t>& field) {
    field = number(value);
    if (!field) return wrong(name, "must be a whole number up to " + std::to_string(kNumberMax));
    return {};
  }

  void add_name(Dimension dimension, const std::string& value) {
    auto filter = std::find_if(query_.only.begin(), query_.only.end(),
                               [&](const auto& one) { return one.dimension == dimension; });
    if (filter == query_.only.end()) filter = query_.only.insert(filter, {dimension, {}});
    filter->names.insert(value);
  }

  const UsagePage page_;
  UsageQuery query_;
  std::optional<std::int64_t> start_, page_start_, end_, limit_;
  const std::pair<std::string_view, std::optional<std::int64_t>*> numbers_[4] = {
      {"start_time", &start_}, {"page", &page_start_}, {"end_time", &end_}, {"limit", &limit_}};
};

}  // namespace

Result<UsageQuery> read_usage_query(std::string_view query, UsagePage page) {
  Reading reading(page);
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (pair.empty()) continue;
    const std::string_view sent = pair.substr(0, pair.find('='));
    auto name = decoded(sent);
    const auto value = decoded(pair.substr(std::min(sent.size() + 1, pair.size())));
    if (!name || !value) return wrong(sent, "is not percent-encoded as it should be");
    if (name->ends_with("[]")) name->resize(name->size() - 2);  // So lists are sent.
    const auto taken = reading.take(*name, *value);
    if (!taken) return taken.error();
  }
  return reading.finish();
}

}  // namespace spillway::admin
