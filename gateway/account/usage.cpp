#include "gateway/account/usage.h"

#include <iterator>

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
      return " AND endpoint NOT IN ('/v1/embeddings', '/v1/moderations', '/v1/rerank')";
    case Asked::embeddings: return " AND endpoint = '/v1/embeddings'";
    case Asked::moderations: return " AND endpoint = '/v1/moderations'";
  }
  return "";
}

const Column& column_of(Dimension dimension) {
  return kColumns[static_cast<std::size_t>(dimension)];
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
  std::string columns;
  for (const Dimension dimension : question.by)
    columns += std::string(column_of(dimension).sql) + ", ";
  std::string sql = "SELECT " + columns + std::string(kSums) +
                    " FROM usage WHERE hour >= $1 AND hour < $2" +
                    std::string(condition_of(question.of));
  columns.resize(columns.size() - (columns.empty() ? 0 : 2));
  sql += columns.empty() ? " HAVING count(*) > 0" : " GROUP BY " + columns + " ORDER BY " + columns;
  auto asked = book.ask(sql, {question.from, question.until});
  if (!asked) return asked.error();
  std::vector<UsageRow> rows;
  for (const BookRow& row : *asked) {
    UsageRow& one = rows.emplace_back();
    std::size_t column = 0;
    for (; column < question.by.size(); ++column) one.names.push_back(row[column]);
    for (std::int64_t* sum :
         {&one.requests, &one.estimated, &one.prompt_tokens, &one.cached_tokens,
          &one.completion_tokens, &one.reasoning_tokens, &one.cost, &one.local_cost, &one.avoided})
      *sum = whole(row[column++]);
  }
  return rows;
}

}  // namespace spillway::account
