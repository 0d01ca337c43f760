"""Half an hour at 200 requests a second: nothing fails, and nothing grows.

``pytest -m long tests/integration/test_soak.py --soak-minutes 5`` is a shorter one. Memory is read
every few seconds from every process behind the endpoint: RSS, and of it what is the process' own
("anonymous": without files and what is shared, which change when other programs end). The first
sixth of the time, a minute at least, is the warm-up, in which arenas, caches and buffers fill. Of
what follows the medians of the first and the last sixth are compared; the slope of a line through
all of it is told beside them. Less than 2 MiB is no growth: that is a tenth of HAProxy, whose
buffers are as many as there were requests at one moment.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.load import load
from tests.proxied import Proxied, params_of_the_product, proxied
from tests.unit.hostile_requests import DOCUMENTS
from tests.unit.protocols import PROBLEMS, put_bundle, records_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

Tell = Callable[[str], None]

SHARE = 1 / 6
SHORTEST_WARM_UP_S = 60.0
MOST_GROWTH = 0.05
NO_GROWTH_MB = 2.0
SAMPLE_EVERY_S = 5.0
SCRAPE_EVERY_S = 15.0
REPLICAS = 2
#: Route, problem, rows and rate: 200 requests and some 2,900 rows a second.
MIX = (
    ("predict", "titanic", 1, 120.0),
    ("predict", "car_loan", 100, 10.0),
    ("predict", "titanic", 1_000, 1.0),
    ("infer", "titanic", 1, 35.0),
    ("dataframe_split", "car_loan", 5, 24.0),
    ("inputs", "titanic", 20, 10.0),
)
#: Part -> what its command lines contain. Those that are held to ``MOST_GROWTH`` come first.
PARTS = {
    "replicas": "ray::ServeReplica:",
    "controller": "ray::ServeController",
    "HAProxy": "haproxy -db",
    "HAProxy's manager": "ray::HAProxyManager",
    "fallback proxy": "ray::ProxyActor",
    "raylet": "/raylet/raylet",
    "GCS": "gcs_server",
    "dashboard": "dashboard",
    "agents": "Agent",
}
HELD = ("replicas", "controller", "HAProxy", "HAProxy's manager", "fallback proxy")


@dataclass(frozen=True)
class Growth:
    """Memory of one part after the warm-up; MiB, and MiB an hour."""

    part: str
    first_mb: float
    last_mb: float
    slope_mb_per_h: float

    @property
    def share(self) -> float:
        """By how much the last sixth is above the first."""
        return self.last_mb / self.first_mb - 1.0

    @property
    def is_growth(self) -> bool:
        """Whether that is more than what counts as flat."""
        return self.share > MOST_GROWTH and self.last_mb - self.first_mb > NO_GROWTH_MB

    def __str__(self) -> str:
        return (
            f"{self.part}: {self.first_mb:.1f} to {self.last_mb:.1f} MiB"
            f" ({self.share:+.1%}), {self.slope_mb_per_h:+.1f} MiB/h"
        )


class Memory:
    """Samples of RSS and anonymous memory of every part: seconds since the start, and MiB."""

    def __init__(self, served: Proxied) -> None:
        self._served = served
        self._started = time.monotonic()
        self.samples: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)

    def sample(self) -> None:
        """Adds one sample of each."""
        at = time.monotonic() - self._started
        for part, mark in PARTS.items():
            rss = own = 0
            for process in self._served.processes(mark):
                with contextlib.suppress(psutil.Error):
                    told = process.memory_info()
                    rss, own = rss + told.rss, own + told.rss - told.shared
            self.samples[part, "anonymous"].append((at, own / 2**20))
            self.samples[part, "RSS"].append((at, rss / 2**20))

    def growths(self, since_s: float) -> list[Growth]:
        """What became of each part from ``since_s`` on."""
        found = []
        for (part, kind), samples in self.samples.items():
            after = [(at, mb) for at, mb in samples if at >= since_s]
            sixth = max(1, int(len(after) * SHARE))
            mbs = [mb for _, mb in after]
            slope = linear_regression([at / 3600 for at, _ in after], mbs).slope
            name = f"{part} {kind}"
            found.append(Growth(name, median(mbs[:sixth]), median(mbs[-sixth:]), slope))
        return found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Proxied]:
    params = params_of_the_product(min_replicas=REPLICAS, max_replicas=REPLICAS)
    with proxied(tmp_path, params, list(PROBLEMS), put_bundle) as running:
        while running.service.status().replicas < REPLICAS:
            time.sleep(0.2)
        yield running


def test_nothing_fails_and_nothing_grows(
    served: Proxied, tell: Tell, request: pytest.FixtureRequest
) -> None:
    length_s = 60.0 * request.config.getoption("--soak-minutes")
    warm_up_s = max(length_s * SHARE, SHORTEST_WARM_UP_S)
    replicas = [replica.pid for replica in served.replicas()]
    with ExitStack() as stack:
        loads = [
            stack.enter_context(load(served.url, *_asked(*of), rate_per_s=rate))
            for *of, rate in MIX
        ]
        memory, scrapes = _watch(served, length_s)
        summaries = [each.stop() for each in loads]

    growths = memory.growths(warm_up_s)
    outcomes: Counter[str] = sum((summary.outcomes for summary in summaries), Counter())
    told = [
        f"soak: {sum(outcomes.values())} requests in {length_s / 60:g} minutes: {dict(outcomes)};"
        f" scrapes: {dict(scrapes)}; memory after {warm_up_s:.0f} s of warm-up:",
        *(f"  {growth}" for growth in growths),
    ]
    tell("\n".join(told))
    assert set(outcomes) == {"200"}
    assert set(scrapes) == {200}
    assert sum(outcomes.values()) >= 0.99 * length_s * sum(rate for *_, rate in MIX)
    assert [replica.pid for replica in served.replicas()] == replicas
    _require_kept(served, summaries)
    held = [growth for growth in growths if growth.part.removesuffix(" anonymous") in HELD]
    assert len(held) == len(HELD)
    assert [str(growth) for growth in held if growth.is_growth] == []


def _asked(route: str, name: str, rows: int) -> tuple[str, Any]:
    path, document = DOCUMENTS[route]
    problem = PROBLEMS[name]
    return path.format(name), document(problem, records_of(problem, rows, seed=rows))


def _watch(served: Proxied, length_s: float) -> tuple[Memory, Counter[int]]:
    """Samples memory and scrapes the metrics until the time is over; returns their statuses."""
    memory = Memory(served)
    started, scrapes = time.monotonic(), Counter[int]()
    while (at := time.monotonic() - started) < length_s:
        memory.sample()
        if at >= scrapes.total() * SCRAPE_EVERY_S:
            scrapes[served.call("GET", "/metrics").status_code] += 1
        time.sleep(max(0.0, SAMPLE_EVERY_S - (time.monotonic() - started - at)))
    return memory, scrapes


def _metrics(served: Proxied) -> dict[str, float]:
    """Name -> sum over everything else."""
    sums: Counter[str] = Counter()
    text = served.call("GET", "/metrics").text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] += sample.value
    return sums


def _require_kept(served: Proxied, summaries: Sequence[Any]) -> None:
    """Every answered row is in the inference log, by the replicas' own counting."""
    due = sum(
        rows * len(summary.predictions)
        for (_, _, rows, _), summary in zip(MIX, summaries, strict=True)
    )
    deadline = time.monotonic() + 30.0
    while (sums := _metrics(served))["pilothouse_predictions_total"] < due:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert sums["pilothouse_predictions_total"] == due
    assert sums["pilothouse_inference_log_rows_lost_total"] == 0
