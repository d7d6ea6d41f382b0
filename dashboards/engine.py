"""The machine room: the local engine and the process."""

from panels import lines, quantile, query, rate, ratio, series, summed

STEP = "spillway_engine_step_seconds"
BATCH = "spillway_engine_batch_size"


def kv_cache():
    return lines(
        "KV cache",
        "percentunit",
        "Share of its blocks in use (spillway_engine_kv_blocks_used_ratio); at 100 % sequences "
        "are preempted: raise kv_tokens_max. And the share of prompt tokens that were found in "
        "it (spillway_engine_prefix_hits_total of spillway_engine_prefix_queries_total).",
        [
            query(f"max by (be) ({series('spillway_engine_kv_blocks_used_ratio')})", "{{be}}"),
            query(
                ratio(
                    summed(rate("spillway_engine_prefix_hits_total")),
                    summed(rate("spillway_engine_prefix_queries_total")),
                ),
                "prefixes found",
            ),
        ],
        max=1,
    )


def engine(board):
    mean_batch = ratio(summed(rate(f"{BATCH}_sum"), "be"), summed(rate(f"{BATCH}_count"), "be"))
    board.row("Local engine")
    board.add(
        8,
        8,
        lines(
            "Batch",
            "none",
            "Sequences of a step (spillway_engine_batch_size), running and waiting ones "
            "(spillway_engine_running_sequences, spillway_engine_waiting_sequences).",
            [
                query(mean_batch, "{{be}} mean batch"),
                query(summed(series("spillway_engine_running_sequences"), "be"), "{{be}} running"),
                query(summed(series("spillway_engine_waiting_sequences"), "be"), "{{be}} waiting"),
            ],
        ),
        kv_cache(),
        lines(
            "Step time",
            "s",
            "Duration of a step of the engine (spillway_engine_step_seconds). It is the pace of"
            " every running answer.",
            [
                query(quantile(share, STEP, "be"), f"{{{{be}}}} P{round(share * 100)}")
                for share in (0.5, 0.99)
            ],
        ),
        lines(
            "Tokens through the model",
            "short",
            "Tokens a second, prefill and decode (spillway_engine_tokens_total); and the guessed "
            "ones that were checked beside them, right or wrong (spillway_engine_drafts_total).",
            [
                query(summed(rate("spillway_engine_tokens_total"), "kind"), "{{kind}}"),
                query(summed(rate("spillway_engine_drafts_total"), "outcome"), "guessed {{outcome}}"),
            ],
        ),
        lines(
            "Learned step model",
            "s",
            "What a step is predicted to cost: base, and each sequence, context token and prefill "
            "token (spillway_engine_step_model_seconds). It follows the machine by itself.",
            query(
                f"max by (be, term) ({series('spillway_engine_step_model_seconds')})",
                "{{be}} {{term}}",
            ),
            custom={"scaleDistribution": {"type": "log", "log": 10}},
        ),
        lines(
            "Sequences ended",
            "short",
            "Sequences a second by how they ended (spillway_engine_sequences_total), and "
            "preemptions (spillway_engine_preemptions_total). refused: waiting_max is reached. And "
            "restarts of the engine's own process (spillway_engine_restarts_total): each was a "
            "crash, of which the log has the cause. Replicas that are down "
            "(spillway_engine_replicas) stay so until the next start.",
            [
                query(summed(rate("spillway_engine_sequences_total"), "outcome"), "{{outcome}}"),
                query(summed(rate("spillway_engine_preemptions_total")), "preempted"),
                query(summed(rate("spillway_engine_restarts_total")), "process restarted"),
                query(summed(series('spillway_engine_replicas', 'state="down"')), "replicas down"),
            ],
        ),
    )


def process(board):
    board.row("Process")
    board.add(
        6,
        7,
        lines(
            "Connections",
            "none",
            "Open connections by listener (spillway_open_connections).",
            query(summed(series("spillway_open_connections"), "listener"), "{{listener}}"),
        ),
        lines(
            "Refused before any handler",
            "short",
            "Requests that the HTTP parser refused (spillway_http_parse_rejects_total) "
            "and connections that could not be accepted (spillway_accept_errors_total), a second.",
            [
                query(summed(rate("spillway_http_parse_rejects_total"), "reason"), "{{reason}}"),
                query(summed(rate("spillway_accept_errors_total")), "not accepted"),
            ],
        ),
        lines(
            "CPU",
            "short",
            "Cores in use by the whole process, engine included (process_cpu_seconds_total).",
            query(summed(rate("process_cpu_seconds_total"), "instance"), "{{instance}}"),
        ),
        lines(
            "Memory",
            "bytes",
            "Resident memory (process_resident_memory_bytes).",
            query(summed(series("process_resident_memory_bytes"), "instance"), "{{instance}}"),
        ),
    )


def configuration(board):
    board.add(
        6,
        7,
        lines(
            "File descriptors",
            "percentunit",
            "Share of the descriptors allowed (process_open_fds, process_max_fds). Above 80 %:"
            " raise LimitNOFILE.",
            query(f"{series('process_open_fds')} / {series('process_max_fds')}", "{{instance}}"),
            max=1,
        ),
        lines(
            "Configurations",
            "short",
            "Configurations taken over and refused in the interval (spillway_config_reloads_total)."
            " After a refusal the old one stays in force: the log says why.",
            query(
                "sum by (result)"
                f" (increase({series('spillway_config_reloads_total')}[$__rate_interval]))",
                "{{result}}",
            ),
        ),
        lines(
            "Configuration in force",
            "short",
            "Gateways by the configuration they run (spillway_config_version_info). Two "
            "lines: a replica did not reload.",
            query(f"count by (sha) ({series('spillway_config_version_info')})", "{{sha}}"),
            stacked=True,
        ),
        lines(
            "Lost telemetry",
            "short",
            "Log lines dropped (spillway_log_dropped_total) and label values folded into _other "
            "(spillway_metrics_folded_total), a second.",
            [
                query(summed(rate("spillway_log_dropped_total")), "log lines"),
                query(summed(rate("spillway_metrics_folded_total"), "label"), "folded: {{label}}"),
            ],
        ),
    )
