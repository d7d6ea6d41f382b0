#include "gateway/account/usage.h"

#include <algorithm>
#include <utility>

namespace spillway::account {
namespace {

struct Column {
  Dimension dimension;
  std::string_view name;
  std::string_view sql;
};

constexpr Column kColumns[] = {
    {Dimension::hour, "hour", "hour"},
    {Dimension::day, "day", "hour / 24"},
    {Dimension::tenant, "tenant", "tenant"},
    {Dimension::key, "key", "key"},
    {Dimension::project, "project", "project"},
    {Dimension::request_class, "class", "class"},
    {Dimension::endpoint, "endpoint", "endpoint"},
    {Dimension::model, "model", "model"},
    {Dimension::target, "target", "target"},
    {Dimension::served, "served", "served"},
    {Dimension::where, "where", "CASE local WHEN 1 THEN 'local' ELSE 'cloud' END"},
};

constexpr std::string_view kSums =
    "sum(requests), sum(estimated), sum(prompt), sum(cached), sum(completion), sum(reasoning), "
    "sum(amount), sum(CASE local WHEN 1 THEN amount ELSE 0 END), sum(avoided)";

std::string_view condition_of(Asked asked) {
  switch (asked) {
    case Asked::all: return "";
    case Asked::answers:
      return " AND endpoint NOT IN ('/v1/embeddings', '/v1/moderations', '/v1/rerank', "
             "'/v2/rerank', '/rerank')";
    case Asked::embeddings: return " AND endpoint = '/v1/embeddings'";
    case Asked::moderations: return " AND endpoint = '/v1/moderations'";
  }
  return "";
}

const Column& column_of(Dimension dimension) {
  return kColumns[static_cast<std::size_t>(dimension)];
}

std::string sql_of(const UsageQuestion& question, const std::vector<Dimension>& by) {
  std::string columns;
  for (const Dimension dimension : by) columns += std::string(column_of(dimension).sql) + ", ";
  std::string sql = "SELECT " + columns + std::string(kSums) +
                    " FROM usage WHERE hour >= $1 AND hour < $2" +
                    std::string(condition_of(question.of));
  columns.resize(columns.size() - (columns.empty() ? 0 : 2));
  sql += columns.empty() ? " HAVING count(*) > 0" : " GROUP BY " + columns + " ORDER BY " + columns;
  return sql;
}

constexpr std::int64_t UsageRow::* kNumbers[] = {
    &UsageRow::requests,      &UsageRow::estimated,         &UsageRow::prompt_tokens,
    &UsageRow::cached_tokens, &UsageRow::completion_tokens, &UsageRow::reasoning_tokens,
    &UsageRow::cost,          &UsageRow::local_cost,        &UsageRow::avoided};

// `names`: what the row was grouped by, one column each.
UsageRow row_of(const BookRow& columns, std::size_t names) {
  UsageRow row;
  row.names.assign(columns.begin(), columns.begin() + static_cast<std::ptrdiff_t>(names));
  for (const auto number : kNumbers) row.*number = whole(columns[names++]);
  return row;
}

// Those of its names that come after the first `grouped` are what the filters look at.
bool is_wanted(const UsageRow& row, std::size_t grouped, const std::vector<UsageFilter>& only) {
  return std::all_of(only.begin(), only.end(), [&](const UsageFilter& filter) {
    return filter.names.count(row.names[grouped++]) != 0;
  });
}

}  // namespace

std::string_view name_of(Dimension dimension) { return column_of(dimension).name; }

std::optional<Dimension> dimension_of(std::string_view name) {
  for (const Column& column : kColumns) {
    if (column.name == name) return column.dimension;
  }
  return std::nullopt;
}

Result<std::vector<UsageRow>> usage(BookReader& book, const UsageQuestion& question) {
  std::vector<Dimension> by = question.by;  // No name of a client's is put into the SQL.
  for (const UsageFilter& filter : question.only) by.push_back(filter.dimension);
  auto asked = book.ask(sql_of(question, by), {question.from, question.until});
  if (!asked) return asked.error();
  std::vector<UsageRow> rows;
  for (const BookRow& columns : *asked) {
    UsageRow row = row_of(columns, by.size());
    if (!is_wanted(row, question.by.size(), question.only)) continue;
    row.names.resize(question.by.size());
    const bool is_new = rows.empty() || rows.back().names != row.names;  // They come in order.
    if (is_new) {
      rows.push_back(std::move(row));
      continue;
    }
    for (const auto number : kNumbers) rows.back().*number += row.*number;
  }
  return rows;
}

}  // namespace spillway::account
