"""What clients have stored: batches and how they get on, and files."""

from panels import lines, query, rate, series, summed


def batches(board):
    board.row("Batches and files")
    board.add(
        6,
        8,
        lines(
            "Batches by state",
            "none",
            "Batches kept, by their state (spillway_batches). Many that are validating or finalizing: the"
            " disk is slow or full; the log says so.",
            query(summed(series("spillway_batches"), "state"), "{{state}}"),
            stacked=True,
        ),
        lines(
            "Lines by outcome",
            "none",
            "Lines that got a result, a second (spillway_batch_lines_total): completed, or failed and"
            " in the error file.",
            query(summed(rate("spillway_batch_lines_total"), "outcome"), "{{outcome}}"),
            stacked=True,
        ),
        lines(
            "Lines waiting",
            "none",
            "Lines of all batches that have no result yet (spillway_batch_lines_waiting). Does it come"
            " down before the batches' time is over?",
            [
                query(summed(series("spillway_batch_lines_waiting")), "waiting"),
                query(summed(series("spillway_batch_lines_handed_over")), "at providers"),
            ],
        ),
        lines(
            "Provider batches",
            "none",
            "Batches made at providers (spillway_batch_handovers_total), and lines that came back without an"
            " answer (spillway_batch_lines_handed_back_total), an hour. Many of these: the provider needs"
            " longer than batches.window, or refuses what is asked.",
            [
                query(f"3600 * {summed(rate('spillway_batch_handovers_total'))}", "batches"),
                query(f"3600 * {summed(rate('spillway_batch_lines_handed_back_total'))}", "lines back"),
            ],
        ),
        lines(
            "Files",
            "bytes",
            "What clients' files and parts of uploads take on disk (spillway_file_bytes);"
            " files.tenant_max bounds it for each tenant.",
            query(summed(series("spillway_file_bytes")), "files"),
        ),
    )
