"""Where requests go and why, and how the targets do."""

from panels import lines, or_zero, quantile, query, rate, ratio, series, states, summed

REQUESTS = "spillway_requests_total"
ERROR_SECONDS = "spillway_ttft_prediction_error_seconds"
ERROR_RATIO = "spillway_ttft_prediction_error_ratio"


def decisions(board):
    prediction = [
        query(quantile(share, ERROR_RATIO, "be"), f"{{{{be}}}} P{round(share * 100)}")
        for share in (0.5, 0.9)
    ]
    sides = query(quantile(0.5, ERROR_SECONDS, "be", "side"), "{{be}} {{side}}")
    board.row("Routing")
    board.add(
        8,
        8,
        lines(
            "Decisions by reason",
            "reqps",
            "Why the policy sent requests where it did (spillway_route_decisions_total). "
            "/decisions on the admin listener explains each one.",
            query(summed(rate("spillway_route_decisions_total"), "reason"), "{{reason}}"),
            stacked=True,
        ),
        lines(
            "Requests by target",
            "reqps",
            "Who served (spillway_requests_total); nobody are requests that reached no target.",
            query(summed(rate(REQUESTS), "be"), "{{be}}"),
            stacked=True,
        ),
        lines(
            "Local share",
            "percentunit",
            "Share of routed requests that the local engine served (spillway_requests_total).",
            query(local_share(), "local"),
            max=1,
        ),
        lines(
            "Spills by reason",
            "reqps",
            "Requests that wanted to stay local and could not (spillway_spill_total): first "
            "token, pace or deadline at risk, queue full, engine down.",
            query(summed(rate("spillway_spill_total"), "reason"), "{{reason}}"),
            stacked=True,
        ),
        lines(
            "Prediction error",
            "percentunit",
            "Distance of the actual TTFT from the predicted one as a share of the actual"
            " (spillway_ttft_prediction_error_ratio). Above 20 % the step model does not fit the"
            " machine.",
            prediction,
        ),
        lines(
            "Prediction error by side",
            "s",
            "Median distance, by whether the first token came early or late"
            " (spillway_ttft_prediction_error_seconds). Late only: promises are broken; early only:"
            " spilled too soon.",
            sides,
        ),
        lines(
            "Decisions by rule",
            "reqps",
            "Requests that a rule of the policy decided about (spillway_rule_decisions_total); one"
            " that stays at zero never does.",
            query(summed(rate("spillway_rule_decisions_total"), "rule"), "{{rule}}"),
            stacked=True,
        ),
    )


def held(board):
    board.row("Work that may wait")
    board.add(
        12,
        8,
        lines(
            "Held requests",
            "none",
            "Requests that may wait and are held for the engine's idle time"
            " (spillway_held_requests).",
            query(summed(series("spillway_held_requests")), "held"),
        ),
        lines(
            "Pressure of held work",
            "none",
            "Engine time that the held requests need before their deadlines, by what will be free"
            " for them (spillway_held_pressure_ratio). Above 1 some leave for the providers.",
            query(summed(series("spillway_held_pressure_ratio")), "pressure"),
        ),
    )


def steered(board):
    board.row("Terms of classes")
    board.add(
        12,
        8,
        lines(
            "Headroom",
            "percentunit",
            "Share of the promised time to first token that the local target's prediction may use"
            " up (spillway_ttft_headroom_ratio). At headroom_min: the engine breaks what it is"
            " predicted to keep.",
            query(f"min by (cls) ({series('spillway_ttft_headroom_ratio')})", "{{cls}}"),
        ),
        lines(
            "Price of a promise",
            "percentunit",
            "Share of promise_price_max that may be paid to providers for one promise"
            " (spillway_promise_price_ratio). Below 1: more was spent than spend_per_hour_max.",
            query(f"min by (cls) ({series('spillway_promise_price_ratio')})", "{{cls}}"),
        ),
    )


def breakers(board):
    board.row("Targets")
    board.add(
        8,
        8,
        states(
            "Breakers",
            "Breaker of each provider (spillway_circuit_state). Open: it is left out until a probe"
            " succeeds; check the provider and its key.",
            query(f"max by (be) ({series('spillway_circuit_state')})", "{{be}}"),
            {0: ("closed", "green"), 1: ("half open", "orange"), 2: ("open", "red")},
        ),
        lines(
            "Fallbacks and retries",
            "reqps",
            "Targets that failed before their first token and were replaced or asked again "
            "(spillway_fallbacks_total, spillway_retries_total). The client saw nothing of it.",
            [
                query(
                    or_zero(
                        summed(rate("spillway_fallbacks_total"), "from", "to"),
                        "spillway_fallbacks_total",
                    ),
                    "{{from}} to {{to}}",
                ),
                query(
                    or_zero(summed(rate("spillway_retries_total"), "be"), "spillway_retries_total"),
                    "{{be}} again",
                ),
            ],
        ),
        lines(
            "Not asked on",
            "reqps",
            "Requests that failed at their first provider and asked no other, since too many were"
            " asked again (spillway_retry_budget_exhausted_total). More than a moment: most"
            " providers fail; see limits.retry_budget.",
            query(summed(rate("spillway_retry_budget_exhausted_total")), "requests"),
        ),
        lines(
            "Hedges",
            "reqps",
            "Requests for which a second target was asked since the first was late"
            " (spillway_hedges_total). Few that are won: hedge.after is too short.",
            query(summed(rate("spillway_hedges_total"), "cls", "outcome"), "{{cls}} {{outcome}}"),
        ),
        lines(
            "Spent on hedges",
            "currencyUSD",
            "A second: paid for what nobody got (spillway_hedge_cost_usd_total); its class's"
            " hedge.spend_share_max bounds it.",
            query(summed(rate("spillway_hedge_cost_usd_total"), "cls"), "{{cls}}"),
        ),
        lines(
            "Breaker openings",
            "short",
            "Times that a provider's breaker opened in the interval"
            " (spillway_backend_ejections_total).",
            query(
                "sum by (be)"
                f" (increase({series('spillway_backend_ejections_total')}[$__rate_interval]))",
                "{{be}}",
            ),
        ),
    )


def servers(board):
    board.add(
        8,
        8,
        lines(
            "Servers of targets",
            "none",
            "In flight at each server of each provider (spillway_server_inflight_requests); one"
            " that is down has none (spillway_server_up).",
            [
                query(
                    summed(series("spillway_server_inflight_requests"), "be", "server"),
                    "{{be}} {{server}}",
                ),
                query(
                    f"min by (be, server) ({series('spillway_server_up')})",
                    "{{be}} {{server}} up",
                ),
            ],
        ),
        lines(
            "Prefix affinity",
            "reqps",
            "Requests by why their server was chosen (spillway_server_requests_total): affine ones"
            " find their beginning in its prefix cache; overflow: it was too busy or down.",
            query(
                summed(rate("spillway_server_requests_total"), "be", "chosen"), "{{be}} {{chosen}}"
            ),
            stacked=True,
        ),
        lines(
            "First token by server",
            "s",
            "Median of late (spillway_server_ttft_seconds). One that is slower than its like is"
            " ill or overloaded.",
            query(
                f"max by (be, server) ({series('spillway_server_ttft_seconds')})",
                "{{be}} {{server}}",
            ),
        ),
    )


def targets(board):
    board.add(
        8,
        8,
        lines(
            "Targets",
            "none",
            "In flight and waiting at each target (spillway_inflight_requests,"
            " spillway_queue_depth).",
            [
                query(summed(series("spillway_inflight_requests"), "be"), "{{be}} in flight"),
                query(summed(series("spillway_queue_depth"), "be"), "{{be}} waiting"),
            ],
        ),
        lines(
            "Wait for a target",
            "s",
            "From the plan to the hand-over to the target that served, failed attempts included "
            "(spillway_queue_wait_seconds).",
            query(quantile(0.95, "spillway_queue_wait_seconds", "be"), "{{be}} P95"),
        ),
        lines(
            "Refused and failed",
            "reqps",
            "Requests refused on purpose (spillway_shed_total), failures by type "
            "(spillway_requests_total), clients who hung up (spillway_stream_client_gone_total) and"
            " answers that could not be stored (spillway_unkept_answers_total).",
            [
                query(summed(rate("spillway_shed_total"), "reason"), "refused: {{reason}}"),
                query(
                    or_zero(summed(rate(REQUESTS, 'error_type!=""'), "error_type"), REQUESTS),
                    "{{error_type}}",
                ),
                query(
                    summed(rate("spillway_stream_client_gone_total"), "stage"), "hung up: {{stage}}"
                ),
                query(summed(rate("spillway_unkept_answers_total"), "cls"), "unkept: {{cls}}"),
            ],
        ),
    )


def local_share():
    """Requests of targets that have an engine, as a share of those that reached any target."""
    reached = rate(REQUESTS, 'be!=""')
    engines = series("spillway_engine_running_sequences")
    here = f"sum ({reached} and on (instance, be) {engines})"
    return ratio(f"({here} or vector(0))", summed(reached))
