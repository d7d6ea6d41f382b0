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

Result<std::vector<UsageRow>> usage(store::Database& book, const UsageQuestion& question) {
  std::string columns;
  for (const Dimension dimension : question.by)
    columns += std::string(column_of(dimension).sql) + ", ";
  std::string sql = "SELECT " + columns + std::string(kSums) +
                    " FROM usage WHERE hour >= ? AND hour < ? HAVING count(*) > 0";
  if (!question.by.empty()) {
    columns.resize(columns.size() - 2);
    sql = "SELECT " + columns + ", " + std::string(kSums) +
          " FROM usage WHERE hour >= ? AND hour < ? GROUP BY " + columns + " ORDER BY " + columns;
  }
  auto asked = book.prepare(sql);
  if (!asked) return asked.error();
  asked->bind(0, question.from).bind(1, question.until);
  std::vector<UsageRow> rows;
  auto read = asked->each([&] {
    UsageRow& one = rows.emplace_back();
    int column = 0;
    for (; column < static_cast<int>(question.by.size()); ++column)
      one.names.emplace_back(asked->text(column));
    for (std::int64_t* sum :
         {&one.requests, &one.estimated, &one.prompt_tokens, &one.cached_tokens,
          &one.completion_tokens, &one.reasoning_tokens, &one.cost, &one.local_cost, &one.avoided})
      *sum = asked->integer(column++);
  });
  if (!read) return read.error();
  return rows;
}

}  // namespace spillway::account
