"""The overview: is it fast, where does it send and why, how do engine and process do."""

from batches import batches
from engine import configuration, engine, process
from latency import latency, now
from panels import Board
from rollout import rollout
from routing import breakers, decisions, held, servers, steered, targets


def board():
    overview = Board(
        "spillway-overview",
        "Spillway: latency and routing",
        "How fast answers are, where requests go and why, and how the local engine does.",
    )
    for part in (
        now,
        latency,
        decisions,
        rollout,
        held,
        steered,
        batches,
        breakers,
        servers,
        targets,
        engine,
        process,
        configuration,
    ):
        part(overview)
    return overview
