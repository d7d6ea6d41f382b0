"""Policies that are tried before they decide."""

from panels import lines, or_zero, query, rate, summed

MOVES = "spillway_shadow_moves_total"


def rollout(board):
    board.row("Policies on trial")
    shadow(board)


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
