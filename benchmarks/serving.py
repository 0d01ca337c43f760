"""Serving beside what one would write by hand: Titanic's model behind four servers in one run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.installation import prepare
from benchmarks.report import Section, Table, Target
from benchmarks.serving_fastapi import PACKAGES
from benchmarks.serving_load import Load, Workload, drive
from benchmarks.serving_peers import Way, first_answer, one_replica_of_one_model, peers
from core.problems import load_problem
from core.settings import silence_vendors
from tests.installation import running

SHARE_OF_REQUESTS = 0.9
MORE_MS = 0.6
ROWS_PER_S = 200_000
BATCH = 1_000
MANY = 32
WORKLOADS = (Workload(1, 1), Workload(MANY, 1), Workload(1, BATCH), Workload(MANY, BATCH))
_SECONDS, _SLOW_SECONDS, _WARM_UP_SECONDS = 5.0, 10.0, 1.0
_ROUNDS = 3
#: A probability that passed through float32 on one side.
_SAME = 1e-6
_SEED_SPAN = 60

#: Way -> what each of its rounds found, by workload.
Rounds = Mapping[str, Mapping[Workload, Sequence[Load]]]


def measure(repeat: int) -> Section:
    """Starts everything, measures in turns, ``repeat`` times as often; removes everything."""
    silence_vendors()
    with tempfile.TemporaryDirectory(prefix="ph-bench-") as name:
        folder = Path(name)
        prepared = prepare(folder, one_replica_of_one_model)
        with running(prepared) as made, peers(made, folder) as others:
            ours = Way("Pilothouse", f"{made.settings.serving_url}/predict/titanic")
            ways = (ours, *others)
            _require_the_same_model(ways, folder / "peers.log")
            bodies = _write_bodies(ways, folder)
            rounds: dict[str, dict[Workload, list[Load]]] = {way.name: {} for way in ways}
            for workload in WORKLOADS:
                _measure(ways, workload, bodies, rounds, _ROUNDS * repeat)
    return judge(rounds)


def _measure(
    ways: Sequence[Way],
    workload: Workload,
    bodies: Mapping[tuple[str, int], Path],
    rounds: dict[str, dict[Workload, list[Load]]],
    times: int,
) -> None:
    """The first two, which are held against each other, in turns; the others once."""
    for way in ways:
        drive(way.url, bodies[way.name, workload.records], workload.clients, _WARM_UP_SECONDS)
        rounds[way.name][workload] = []
    for turn in range(times):
        # Neither is always the first of a pair.
        for way in sorted(ways[:2], key=lambda one: one.name, reverse=bool(turn % 2)):
            body = bodies[way.name, workload.records]
            rounds[way.name][workload].append(drive(way.url, body, workload.clients, _SECONDS))
    for way in ways[2:]:
        body = bodies[way.name, workload.records]
        rounds[way.name][workload].append(drive(way.url, body, workload.clients, _SLOW_SECONDS))


def records(count: int) -> list[dict[str, Any]]:
    """Passengers of all kinds; the same ones every time."""
    contract = load_problem("titanic", PACKAGES).contract
    usual = {field.name: field.example for field in contract.fields if not field.nullable}
    return [
        {
            **usual,
            "Pclass": 1 + number % 3,
            "Sex": ("male", "female")[number % 2],
            "Age": None if number % 5 == 0 else float(1 + number % _SEED_SPAN),
            "Fare": 7.25 + number % 90,
            "Embarked": "SCQ"[number % 3],
        }
        for number in range(count)
    ]


def _require_the_same_model(ways: Sequence[Way], log: Path) -> None:
    """Raises: RuntimeError: a server does not answer, or another model answers."""
    (record,) = records(1)
    expected: Any = None
    for way in ways:
        found = first_answer(way, record, log)
        expected = expected or found
        probability: Any = found["probability"]
        near = probability is None or abs(probability - expected["probability"]) <= _SAME
        if found["label"] != expected["label"] or not near:
            raise RuntimeError(f"{way.name} answers {found} and not {expected}")


def _write_bodies(ways: Sequence[Way], folder: Path) -> dict[tuple[str, int], Path]:
    """(way, records) -> file with the body of its requests."""
    bodies = {}
    for place, way in enumerate(ways):
        for count in (1, BATCH):
            file = folder / f"body-{place}-{count}.json"
            file.write_text(json.dumps(way.body(records(count))), encoding="utf-8")
            bodies[way.name, count] = file
    return bodies


def judge(rounds: Rounds) -> Section:
    """Holds ours, which comes first, against (a), which comes second."""
    ours, by_hand = (list(rounds.values())[place] for place in (0, 1))
    one, many, batches = Workload(1, 1), Workload(MANY, 1), Workload(MANY, BATCH)
    share = median(
        mine.requests_per_s / theirs.requests_per_s
        for mine, theirs in zip(ours[many], by_hand[many], strict=True)
    )
    more_ms = median(
        mine.p50_ms - theirs.p50_ms for mine, theirs in zip(ours[one], by_hand[one], strict=True)
    )
    rows_per_s = median(load.requests_per_s * BATCH for load in ours[batches])
    failed = sum(load.failed for loads in ours.values() for load in loads)
    return Section(
        "Serving: one replica beside its peers on the same model",
        Table(
            (
                "server",
                "clients",
                "records",
                "requests/s",
                "rows/s",
                "p50 ms",
                "p95 ms",
                "p99 ms",
                "failed",
                "requests/s against (a)",
            ),
            tuple(_rows(rounds, by_hand)),
        ),
        (
            Target(
                f"requests/s against (a), {MANY} clients", share, SHARE_OF_REQUESTS, at_least=True
            ),
            Target("p50 above that of (a) in ms, 1 client", more_ms, MORE_MS),
            Target(
                f"rows/s in batches of {BATCH:,}, {MANY} clients",
                rows_per_s,
                ROWS_PER_S,
                at_least=True,
            ),
            Target("requests of ours that failed", failed, 0),
        ),
    )


def _rows(rounds: Rounds, peer: Mapping[Workload, Sequence[Load]]) -> list[tuple[str, ...]]:
    found = []
    for workload in WORKLOADS:
        base = median(load.requests_per_s for load in peer[workload])
        for name, by_workload in rounds.items():
            loads = by_workload[workload]
            rate = median(load.requests_per_s for load in loads)
            spread = [median(getattr(load, p) for load in loads) for p in _PERCENTILES]
            found.append(
                (
                    name,
                    str(workload.clients),
                    f"{workload.records:,}",
                    f"{rate:,.3g}" if rate < 100 else f"{rate:,.0f}",
                    f"{rate * workload.records:,.0f}",
                    *(f"{value:.3g}" for value in spread),
                    str(sum(load.failed for load in loads)),
                    f"{rate / base:.2f}",
                )
            )
    return found


_PERCENTILES = ("p50_ms", "p95_ms", "p99_ms")
