// What `spillway report` prints of the book, on standard output.
#pragma once

#include "gateway/account/audit.h"
#include "gateway/account/usage.h"

#include <vector>

namespace spillway::verbs {

using Dimensions = std::vector<account::Dimension>;

// `by`: what the rows are grouped by.
void print_csv(const Dimensions& by, const std::vector<account::UsageRow>& rows);
void print_json(const Dimensions& by, const std::vector<account::UsageRow>& rows);  // A line each.
void print_table(const Dimensions& by, const std::vector<account::UsageRow>& rows);

// `all`: the one row of a period that is grouped by nothing.
void print_totals(const account::UsageQuestion& asked, const account::UsageRow& all);

void print_text(const account::Audit& found);

}  // namespace spillway::verbs
