"""Is it fast: the state of this moment, and how long clients wait."""

from panels import (
    heatmap,
    lines,
    quantile,
    quantiles,
    query,
    rate,
    ratio,
    series,
    stat,
    steps,
    summed,
)
from routing import local_share

REQUESTS = "spillway_requests_total"
TTFT = "gen_ai_server_time_to_first_token_seconds"
TPOT = "gen_ai_server_time_per_output_token_seconds"
DURATION = "gen_ai_server_request_duration_seconds"
OVERHEAD = "spillway_gateway_overhead_seconds"
GOOD_IS_HIGH = steps((None, "red"), (0.95, "orange"), (0.99, "green"))
GOOD_IS_LOW = steps((None, "green"), (0.001, "orange"), (0.01, "red"))


def now(board):
    errors = "(" + summed(rate(REQUESTS, 'code="5xx"')) + " or vector(0))"
    board.row("Now")
    board.add(
        3,
        4,
        stat(
            "Requests",
            "reqps",
            "Finished requests a second (spillway_requests_total). A sudden fall with healthy "
            "targets means that clients cannot reach the gateway.",
            summed(rate(REQUESTS)),
        ),
        stat(
            "In flight",
            "none",
            "Requests inside the gateway now (spillway_admitted_requests). Near"
            " limits.in_flight_max new ones are refused: raise it or add capacity.",
            summed(series("spillway_admitted_requests")),
        ),
        stat(
            "Queue",
            "none",
            "Requests that wait for a target now (spillway_queue_depth). If it stays high, lower"
            " the classes' ttft_headroom so that they spill earlier.",
            summed(series("spillway_queue_depth")),
        ),
        stat(
            "5xx",
            "percentunit",
            "Share of requests answered with 5xx (spillway_requests_total). Look at Errors by type"
            " and at Breakers.",
            ratio(errors, summed(rate(REQUESTS))),
            GOOD_IS_LOW,
            max=1,
        ),
        stat(
            "TTFT promise kept",
            "percentunit",
            "Share of requests whose first token came within their class's SLA"
            " (spillway_slo_attained_total).",
            kept("ttft"),
            GOOD_IS_HIGH,
            max=1,
        ),
        stat(
            "TTFT P95",
            "s",
            "95th percentile of the time to the first token of streamed answers "
            "(gen_ai_server_time_to_first_token_seconds).",
            quantile(0.95, TTFT),
        ),
        stat(
            "Local share",
            "percentunit",
            "Share of routed requests that the local engine served "
            "(spillway_requests_total). Falls when the engine is full; see Spills by reason.",
            local_share(),
            max=1,
        ),
        stat(
            "Targets down",
            "none",
            "Targets that take no requests now: engine not ready or breaker open "
            "(spillway_backend_up). Breakers shows which.",
            f"count ({series('spillway_backend_up')} == 0) or vector(0)",
            steps((None, "green"), (1, "red")),
        ),
    )


def latency(board):
    board.row("Latency")
    board.add(
        8,
        8,
        lines(
            "Time to first token",
            "s",
            "From the request to the first token of streamed answers "
            "(gen_ai_server_time_to_first_token_seconds). Compare with the classes' SLA.",
            quantiles(TTFT, 0.5, 0.95, 0.99),
        ),
        lines(
            "Time per output token",
            "s",
            "Mean pace of each streamed answer after its first token "
            "(gen_ai_server_time_per_output_token_seconds). Rises with the engine's batch.",
            quantiles(TPOT, 0.5, 0.95, 0.99),
        ),
        lines(
            "Whole request",
            "s",
            "From the last byte in to the last byte out (gen_ai_server_request_duration_seconds),"
            " failures included.",
            quantiles(DURATION, 0.5, 0.95, 0.99),
        ),
        heatmap(
            "First tokens",
            "s",
            "How the times to the first token are spread "
            "(gen_ai_server_time_to_first_token_seconds). Two bands are two targets.",
            TTFT,
        ),
        lines(
            "Promises kept by class",
            "percentunit",
            "Share of each class's requests within its TTFT and its time per token"
            " (spillway_slo_attained_total, spillway_slo_missed_total). Below 99 %: see Decisions.",
            [
                query(kept("ttft", "cls"), "{{cls}} first token"),
                query(kept("per_token", "cls"), "{{cls}} per token"),
            ],
            max=1,
        ),
        lines(
            "Gateway overhead",
            "s",
            "Our own time by phase (spillway_gateway_overhead_seconds): decide is parse to plan, "
            "dispatch is plan to hand-over. Above 5 ms the workers are out of CPU.",
            [
                query(quantile(share, OVERHEAD, "phase"), f"{{{{phase}}}} P{round(share * 100)}")
                for share in (0.5, 0.99)
            ],
        ),
    )


def kept(objective, *labels):
    """Share of requests that met their class's objective."""
    attained = summed(rate("spillway_slo_attained_total", f'objective="{objective}"'), *labels)
    missed = summed(rate("spillway_slo_missed_total", f'objective="{objective}"'), *labels)
    return ratio(attained, f"{attained} + {missed}")
