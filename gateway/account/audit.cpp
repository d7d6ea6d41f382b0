#include "gateway/account/audit.h"

#include <utility>

namespace spillway::account {
namespace {

// A sentence about the book, and the query that counts what speaks against it.
struct Invariant {
  const char* sentence;
  const char* query;
};

constexpr Invariant kInvariants[] = {
    {"debits and credits are the same",
     "SELECT count(*) FROM (SELECT sum(debits) AS debits, sum(credits) AS credits FROM balances) "
     "AS both_sides WHERE debits <> credits"},
    {"each account's balance is the sum of its entries",
     "SELECT count(*) FROM (SELECT account, sum(debits) AS debits, sum(credits) AS credits FROM ("
     "SELECT account, debits, credits FROM balances UNION ALL "
     "SELECT 'tenant:' || tenant, -amount, 0 FROM entries WHERE phase = 1 UNION ALL "
     "SELECT 'target:' || target, 0, -amount FROM entries WHERE phase = 1) AS parts "
     "GROUP BY account) AS accounts "
     "WHERE debits <> 0 OR credits <> 0"},
    {"the hours are the sum of their entries",
     "SELECT count(*) FROM (SELECT sum(amount) AS amount, sum(avoided) AS avoided, sum(requests) "
     "AS "
     "requests, sum(estimated) AS estimated, sum(prompt) AS prompt, sum(cached) AS cached, "
     "sum(completion) AS completion, sum(reasoning) AS reasoning FROM ("
     "SELECT hour, tenant, key, project, class, endpoint, model, target, served, local, requests, "
     "estimated, prompt, cached, completion, reasoning, amount, avoided FROM usage UNION ALL "
     "SELECT at / 3600000, tenant, key, project, class, endpoint, model, target, served, local, "
     "-(CASE leg WHEN 0 THEN 1 ELSE 0 END), -estimated, -prompt, -cached, -completion, -reasoning, "
     "-amount, -avoided FROM entries WHERE phase = 1) AS parts GROUP BY hour, tenant, key, "
     "project, "
     "class, endpoint, model, target, served, local) AS hours "
     "WHERE amount <> 0 OR avoided <> 0 OR requests <> 0 OR estimated <> 0 OR prompt <> 0 OR "
     "cached <> 0 OR completion <> 0 OR reasoning <> 0"},
    {"what is void costs nothing", "SELECT count(*) FROM entries WHERE phase <> 1 AND amount <> 0"},
    {"what is over is held no more",
     "SELECT count(*) FROM holds JOIN entries USING(began, id) WHERE phase = 1"},
    {"each leg follows the one before it",
     "SELECT count(*) FROM entries AS one WHERE phase = 1 AND leg > 0 AND NOT EXISTS ("
     "SELECT 1 FROM entries AS before WHERE before.began = one.began AND before.id = one.id "
     "AND before.phase = 1 "
     "AND before.leg = one.leg - 1)"},
};

Result<std::int64_t> number(BookReader& book, const char* query) {
  auto rows = book.ask(query);
  if (!rows) return rows.error();
  return whole(rows->front().front());
}

}  // namespace

Result<Audit> audit(BookReader& book) {
  Audit audit;
  const std::pair<const char*, std::int64_t*> figures[] = {
      {"SELECT count(*) FROM entries WHERE phase = 1", &audit.entries},
      {"SELECT count(*) FROM entries WHERE phase = 1 AND leg = 0", &audit.requests},
      {"SELECT count(*) FROM entries WHERE phase = 2", &audit.in_doubt},
      {"SELECT coalesce(sum(held), 0) FROM entries WHERE phase = 2", &audit.in_doubt_amount},
      {"SELECT coalesce(sum(amount), 0) FROM entries", &audit.amount},
  };
  for (const auto& [query, figure] : figures) {
    auto found = number(book, query);
    if (!found) return found.error();
    *figure = *found;
  }
  for (const Invariant& invariant : kInvariants) {
    auto against = number(book, invariant.query);
    if (!against) return against.error();
    if (*against != 0) audit.broken.emplace_back(invariant.sentence);
  }
  return audit;
}

}  // namespace spillway::account
