"""Policies that are tried before they decide."""

from panels import lines, or_zero, query, rate, series, summed

MOVES = "spillway_shadow_moves_total"
WATCHES = "spillway_policy_watches_total"


def rollout(board):
    board.row("Policies on trial")
    shadow(board)
    canary(board)


def shadow(board):
    board.add(
        8,
        8,
        lines(
            "Shadow decisions",
            "reqps",
            "Whether a policy in the shadow agrees with the one in force"
            " (spillway_shadow_decisions_total). Nothing that it decides is done; skipped: it is"
            " behind.",
            query(summed(rate("spillway_shadow_decisions_total"), "outcome"), "{{outcome}}"),
            stacked=True,
        ),
        lines(
            "Where a shadow would send",
            "reqps",
            "Requests that it would send elsewhere, by who is asked first and who would be"
            f" ({MOVES}).",
            query(or_zero(summed(rate(MOVES), "from", "to"), MOVES), "{{from}} to {{to}}"),
            stacked=True,
        ),
        lines(
            "What a shadow would spend",
            "currencyUSD",
            "A second: what requests are expected to cost by the policy in force and by the shadow"
            " (spillway_shadow_cost_usd_total).",
            query(summed(rate("spillway_shadow_cost_usd_total"), "policy"), "{{policy}}"),
        ),
    )


def canary(board):
    board.add(
        8,
        8,
        lines(
            "Canary and stable by promise",
            "reqps",
            "Requests while a policy is tried on some keys, by side and by how they kept their"
            " class's promises (spillway_canary_requests_total). A canary that misses or fails more"
            " is rolled back by itself.",
            query(
                summed(rate("spillway_canary_requests_total"), "side", "outcome"),
                "{{side}} {{outcome}}",
            ),
        ),
        lines(
            "Keys under a canary",
            "percentunit",
            "Share of the keys that a policy is tried on now (spillway_canary_share).",
            query(f"max by (instance) ({series('spillway_canary_share')})", "{{instance}}"),
            max=1,
        ),
        lines(
            "Canaries and watched policies by end",
            "short",
            "Policies that were tried on some keys, and those that all keys had and that were"
            " watched, by what became of them in the interval (spillway_canary_ends_total,"
            " spillway_policy_watches_total). One that burns is rolled back by itself.",
            [by_end("spillway_canary_ends_total", "canary"), by_end(WATCHES, "watched")],
        ),
    )


def by_end(counter, of):
    increase = f"increase({series(counter)}[$__rate_interval])"
    return query(f"sum by (outcome) ({increase})", f"{of}: {{{{outcome}}}}")
