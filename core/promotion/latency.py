"""How long two models take, timed in turns in one process, so that both meet the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from core.problems.contract import Columns, Problem
from core.promotion.evidence_costs import Latency, LatencyComparison
from core.scoring.generate import generate_records
from core.scoring.scorer import Scorer

#: What a large request is, and how often each model is asked. One record in turns of a few
#: hundred takes some 30 ms, the large request up to a second for a large forest.
THOUSAND = 1000
SINGLE_REPETITIONS, THOUSAND_REPETITIONS = 200, 20
#: Calls that are not counted: the first ones fill caches.
WARM_UP = 3

Clock = Callable[[], float]


def time_models(
    problem: Problem,
    candidate: Scorer,
    incumbent: Scorer | None,
    seed: int,
    clock: Clock = time.perf_counter,
) -> LatencyComparison:
    """Times both on generated records of the contract, missing and unseen values among them.

    ``clock`` gives seconds. What is timed is what a replica does with a decoded request:
    derived features, then onnxruntime on one thread.
    """
    records = generate_records(problem, THOUSAND, seed)
    singles = [_row(records, row % THOUSAND) for row in range(SINGLE_REPETITIONS)]
    scorers = [candidate] if incumbent is None else [candidate, incumbent]
    single = _timed(scorers, singles, clock)
    thousand = _timed(scorers, [records] * THOUSAND_REPETITIONS, clock)
    told = [_latency(*taken) for taken in zip(single, thousand, strict=True)]
    return LatencyComparison(
        candidate=told[0],
        incumbent=told[1] if incumbent is not None else None,
        single_repetitions=SINGLE_REPETITIONS,
        thousand_repetitions=THOUSAND_REPETITIONS,
    )


def _row(records: Columns, row: int) -> Columns:
    return {name: values[row : row + 1] for name, values in records.items()}


def _timed(
    scorers: Sequence[Scorer], requests: Sequence[Columns], clock: Clock
) -> list[list[float]]:
    """Milliseconds of each scorer for each request, in the order of both."""
    for scorer in scorers:
        for request in requests[:WARM_UP]:
            scorer.probabilities(request)
    taken: list[list[float]] = [[] for _ in scorers]
    for turn, request in enumerate(requests):
        # Who comes second finds the caches filled, so they take turns at it.
        order = range(len(scorers)) if turn % 2 == 0 else reversed(range(len(scorers)))
        for place in order:
            began = clock()
            scorers[place].probabilities(request)
            taken[place].append(1000 * (clock() - began))
    return taken


def _latency(single: Sequence[float], thousand: Sequence[float]) -> Latency:
    (s50, s95), (t50, t95) = (np.quantile(taken, [0.5, 0.95]) for taken in (single, thousand))
    return Latency(
        single_p50_ms=float(s50),
        single_p95_ms=float(s95),
        thousand_p50_ms=float(t50),
        thousand_p95_ms=float(t95),
    )
