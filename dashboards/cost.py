"""What it costs: spent, saved, and for what."""

from panels import (
    Board,
    lines,
    or_zero,
    quantile,
    query,
    rate,
    ratio,
    series,
    stat,
    summed,
    table,
)

COST = "spillway_cost_usd_total"
AVOIDED = "spillway_cost_avoided_usd_total"
REQUESTS = "spillway_requests_total"
TOKENS = "gen_ai_client_token_usage_sum"


def over_range(name, *labels):
    by = f" by ({', '.join(labels)})" if labels else ""
    return f"sum{by} (increase({series(name)}[$__range]))"


def an_hour(name, *labels):
    return f"{summed(rate(name), *labels)} * 3600"


def totals(board):
    spent = f"({over_range(COST)} or vector(0))"
    avoided = f"({over_range(AVOIDED)} or vector(0))"
    board.row("In the time shown")
    board.add(
        4,
        4,
        stat(
            "Spent",
            "currencyUSD",
            "Posted for answers of providers and of the engine (spillway_cost_usd_total).",
            spent,
        ),
        stat(
            "Avoided",
            "currencyUSD",
            "What the cheapest provider would have asked for requests that were served without one "
            "(spillway_cost_avoided_usd_total).",
            avoided,
        ),
        stat(
            "Avoided share",
            "percentunit",
            "Avoided as a share of what all requests would have cost elsewhere "
            "(spillway_cost_avoided_usd_total, spillway_cost_usd_total).",
            ratio(avoided, f"({spent} + {avoided})"),
            max=1,
        ),
        stat(
            "Spending now",
            "currencyUSD",
            "Dollars an hour at the present pace (spillway_cost_usd_total).",
            f"{an_hour(COST)} or vector(0)",
        ),
        stat(
            "Per 1000 requests",
            "currencyUSD",
            "Dollars for a thousand requests (spillway_cost_usd_total, spillway_requests_total).",
            f"1000 * {ratio(spent, over_range(REQUESTS))}",
        ),
        stat(
            "Per million tokens",
            "currencyUSD",
            "Dollars for a million prompt and answer tokens (spillway_cost_usd_total,"
            " gen_ai_client_token_usage).",
            f"1e6 * {ratio(spent, over_range_of_tokens())}",
        ),
    )


def over_range_of_tokens(*labels):
    by = f" by ({', '.join(labels)})" if labels else ""
    selected = series(TOKENS, 'gen_ai_token_type=~"input|output"')
    return f"sum{by} (increase({selected}[$__range]))"


def money(board):
    per_thousand = ratio(f"({summed(rate(COST))} or vector(0))", summed(rate(REQUESTS)))
    board.row("Money")
    board.add(
        12,
        8,
        lines(
            "Spending by model and target",
            "currencyUSD",
            "Dollars an hour (spillway_cost_usd_total). A new line is a new model or provider in"
            " use.",
            query(or_zero(an_hour(COST, "m", "be"), COST), "{{m}} at {{be}}"),
            stacked=True,
        ),
        lines(
            "Spending by tenant",
            "currencyUSD",
            "Dollars an hour of each tenant (spillway_cost_usd_total).",
            query(or_zero(an_hour(COST, "tenant"), COST), "{{tenant}}"),
            stacked=True,
        ),
        lines(
            "Dollars for 1000 requests",
            "currencyUSD",
            "At the pace of each moment (spillway_cost_usd_total, spillway_requests_total). Rises"
            " when traffic spills.",
            query(f"1000 * {per_thousand}", "per 1000 requests"),
        ),
        lines(
            "Avoided by class",
            "currencyUSD",
            "Dollars an hour that the cheapest provider would have asked"
            " (spillway_cost_avoided_usd_total).",
            query(an_hour(AVOIDED, "cls"), "{{cls}}"),
            stacked=True,
        ),
        lines(
            "Answers in a dearer tier",
            "reqps",
            "Answers a second whose provider named a tier that costs more than its price here"
            " (spillway_dearer_tier_total): they are booked too low, as estimated.",
            query(or_zero(summed(rate("spillway_dearer_tier_total"), "be"), REQUESTS), "{{be}}"),
        ),
        lines(
            "Answers that cost something else",
            "reqps",
            "Answers a second whose provider says that they cost something else than their price here"
            " (spillway_charged_otherwise_total): they are booked by the price here, as estimated.",
            query(or_zero(summed(rate("spillway_charged_otherwise_total"), "be"), REQUESTS), "{{be}}"),
        ),
        lines(
            "Fields left out",
            "cps",
            "Fields of requests a second that the target was not told"
            " (spillway_left_out_fields_total). forward_fields of a target names those that it takes.",
            query(or_zero(summed(rate("spillway_left_out_fields_total"), "be"), REQUESTS), "{{be}}"),
        ),
    )


def work(board):
    board.row("For what")
    tokens = rate(TOKENS)
    named = over_range_of_tokens("gen_ai_provider_name")
    columns = {
        "Requests": over_range(REQUESTS, "be"),
        "Tokens": (
            f'sum by (be) (label_replace({named}, "be", "$1", "gen_ai_provider_name", "(.*)"))'
        ),
        "Spent": or_zero(over_range(COST, "be"), COST),
    }
    board.add(
        12,
        8,
        lines(
            "Tokens by target",
            "short",
            "Prompt and answer tokens a second of each target (gen_ai_client_token_usage).",
            query(
                summed(tokens, "gen_ai_provider_name", "gen_ai_token_type"),
                "{{gen_ai_provider_name}} {{gen_ai_token_type}}",
            ),
            stacked=True,
        ),
        table(
            "Targets in the time shown",
            "short",
            "Requests (spillway_requests_total), tokens (gen_ai_client_token_usage) and "
            "dollars (spillway_cost_usd_total) of each target.",
            columns,
            {"Spent": "currencyUSD"},
        ),
    )


def budgets(board):
    spent, limit = "spillway_budget_spent_usd", "spillway_budget_limit_usd"
    held, over = "spillway_budget_held_usd", "spillway_budget_overshoot_usd_total"
    checks = "spillway_ratelimit_checks_total"
    board.row("Budgets and limits")
    board.add(
        12,
        8,
        lines(
            "Budget used",
            "percentunit",
            "Spent of the day's and the month's budget (spillway_budget_spent_usd,"
            " spillway_budget_limit_usd). At 100 % requests are refused with insufficient_quota.",
            query(
                ratio(
                    f"max by (tenant, window) ({series(spent)})",
                    f"max by (tenant, window) ({series(limit)})",
                ),
                "{{tenant}} {{window}}",
            ),
        ),
        lines(
            "Held by running requests",
            "currencyUSD",
            "What they may still cost at worst (spillway_budget_held_usd).",
            query(summed(series(held), "tenant"), "{{tenant}}"),
        ),
        lines(
            "Spent past a budget",
            "currencyUSD",
            "Where a provider billed more than was held (spillway_budget_overshoot_usd_total);"
            " `hard: true` keeps it at zero.",
            query(f"sum by (tenant) (increase({series(over)}[$__range]))", "{{tenant}}"),
        ),
        lines(
            "Held against limits",
            "reqps",
            "Requests a second by what came of it (spillway_ratelimit_checks_total).",
            query(summed(rate(checks), "kind", "result"), "{{kind}} {{result}}"),
        ),
        lines(
            "Sent again under an idempotency key",
            "reqps",
            "Requests a second that brought a key (spillway_idempotency_requests_total): `replayed`"
            " got the first answer again and cost nothing; `redelivered` came without one, as the next"
            " try of a client whose answer was lost on its way.",
            query(summed(rate("spillway_idempotency_requests_total"), "result"), "{{result}}"),
        ),
    )


def ledger(board):
    append = "spillway_ledger_append_seconds"
    board.row("Ledger")
    board.add(
        8,
        7,
        lines(
            "Group commit",
            "s",
            "Time of one (spillway_ledger_append_seconds). Rises with the disk's fsync.",
            [query(quantile(share, append), f"P{round(share * 100)}") for share in (0.5, 0.99)],
        ),
        lines(
            "Booked",
            "short",
            "Entries a second (spillway_ledger_entries_total).",
            query(summed(rate("spillway_ledger_entries_total")), "entries"),
        ),
        lines(
            "Waiting to be booked",
            "short",
            "Settled, and safe from a crash, but not on the disk yet (spillway_ledger_lag_entries)."
            " Grows while the disk is full.",
            query(summed(series("spillway_ledger_lag_entries")), "entries"),
        ),
        lines(
            "Failed commits",
            "short",
            "A second (spillway_ledger_errors_total). While there are any, nothing that costs money"
            " is begun: look at the disk of server.state.",
            query(summed(rate("spillway_ledger_errors_total")), "failures"),
        ),
        lines(
            "In doubt",
            "short",
            "Requests that ran when a process died (spillway_ledger_in_doubt_requests): reconcile"
            " with the provider's export, `spillway report --reconcile`.",
            query(summed(series("spillway_ledger_in_doubt_requests")), "requests"),
        ),
    )


def board():
    cost = Board(
        "spillway-cost",
        "Spillway: cost",
        "What answers cost, what was saved by serving them here, and for what.",
    )
    for part in (totals, money, work, budgets, ledger):
        part(cost)
    return cost
