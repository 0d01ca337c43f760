"""``/metrics`` of three real replicas, and after one of them was killed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.deployment.metrics import STALE_S, metrics_folder
from core.monitoring.gauges import CheckGauges
from serve.metrics_file import EVERY_S
from tests.proxied import Proxied, params_of_the_product, proxied
from tests.unit.protocols import PROBLEMS, WAYS, put_bundle, records_of
from tests.unit.test_serve_metrics import Checks

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

Tell = Callable[[str], None]
#: Name and labels of a sample -> its value.
Scrape = Mapping[tuple[str, frozenset[tuple[str, str]]], float]

REPLICAS = 3
#: A busy machine's share in what is promised by the second.
SLACK_S = 10.0
REQUESTS = "pilothouse_requests_total"
DURATIONS = "pilothouse_request_duration_seconds_count"
PREDICTIONS = "pilothouse_predictions_total"
LOST = "pilothouse_inference_log_rows_lost_total"
ROUTES = {
    "predict": "predict",
    "infer": "infer",
    "infer, binary": "infer",
    "dataframe_split": "invocations",
    "csv": "invocations",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    params = params_of_the_product(min_replicas=REPLICAS, max_replicas=REPLICAS)
    folder = tmp_path_factory.mktemp("metrics")
    with proxied(folder, params, list(PROBLEMS), put_bundle) as running:
        wait_until(lambda: running.service.status().replicas == REPLICAS, 60.0)
        yield running


def wait_until(holds: Callable[[], bool], timeout_s: float) -> float:
    """Returns the seconds until something holds."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < timeout_s, "it has not come about"
        time.sleep(0.2)
    return time.monotonic() - started


def scrape(served: Proxied) -> Scrape:
    """As Prometheus would: it refuses a sample that comes twice."""
    text = served.call("GET", "/metrics").text
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def totals(samples: Scrape, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Sums by labels, as ``sum by`` of PromQL; what is zero is left out."""
    sums: Counter[tuple[str, ...]] = Counter()
    for (of, with_labels), value in samples.items():
        if of == name:
            told = dict(with_labels)
            sums[tuple(told.get(label, "") for label in labels)] += value
    return {key: value for key, value in sums.items() if value}


def send(served: Proxied, times: int) -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]:
    """Every way for both problems and some refusals; returns requests and rows that are due."""
    requests: Counter[tuple[str, ...]] = Counter()
    rows: Counter[tuple[str, ...]] = Counter()
    for number in range(times):
        for name, problem in PROBLEMS.items():
            for way, route in ROUTES.items():
                records = records_of(problem, 1 + number % 7, number)
                assert WAYS[way](served, problem, records).status_code == 200
                requests[name, route, "200"] += 1
                rows[name, "7"] += len(records)
            assert served.call("POST", f"/predict/{name}", json={}).status_code == 422
            requests[name, "predict", "422"] += 1
        assert served.call("POST", "/predict/nothing", json={}).status_code == 404
        requests["", "predict", "404"] += 1
    return requests, rows


def by_replica(samples: Scrape, name: str) -> dict[str, float]:
    return {replica: value for (replica,), value in totals(samples, name, "replica").items()}


def asked(samples: Scrape) -> dict[tuple[str, ...], float]:
    """Predictions by problem, route and status; whoever waits for replicas asks, too."""
    told = totals(samples, REQUESTS, "problem", "route", "status")
    return {key: value for key, value in told.items() if key[1] in ROUTES.values()}


def test_sums_over_replicas_are_what_was_sent(served: Proxied, tell: Tell) -> None:
    requests, rows = send(served, 15)
    seconds = wait_until(lambda: asked(scrape(served)) == requests, EVERY_S + SLACK_S)
    # Whoever answers knows itself as it is now, and the others by their files.
    time.sleep(EVERY_S + 1.0)
    for _ in range(4 * REPLICAS):
        samples = scrape(served)
        assert asked(samples) == requests
        assert totals(samples, PREDICTIONS, "problem", "version") == rows
        counted = totals(samples, DURATIONS, "route")
        assert counted[("predict",)] == sum(
            n for (_, r, _), n in requests.items() if r == "predict"
        )
    shares = by_replica(samples, PREDICTIONS)
    tell(f"metrics: {sum(requests.values())} requests told by all after {seconds:.1f} s: {shares}")
    assert len(shares) == REPLICAS
    # Each replica says so for each problem, also when there is nothing to say.
    assert len([1 for name, _ in samples if name == LOST]) == REPLICAS * len(PROBLEMS)
    assert totals(samples, LOST) == {}
    info = totals(samples, "pilothouse_model_info", "problem", "version")
    assert info == {(name, "7"): REPLICAS for name in PROBLEMS}


def test_checks_of_the_worker_are_told_by_every_replica(served: Proxied) -> None:
    CheckGauges(Checks(), ["titanic"], metrics_folder(served.settings.home)).write()
    for _ in range(2 * REPLICAS):
        samples = scrape(served)
        psi = totals(samples, "pilothouse_drift_psi", "problem", "column")
        assert psi[("titanic", "Fare")] == pytest.approx(0.31)
        assert totals(samples, "pilothouse_check_level", "problem") == {("titanic",): 2.0}


def test_a_replica_that_was_killed_is_left_out_within_a_minute(served: Proxied, tell: Tell) -> None:
    time.sleep(EVERY_S + 1.0)
    before = by_replica(scrape(served), PREDICTIONS)
    served.replicas()[0].kill()

    def left() -> set[str]:
        return before.keys() & by_replica(scrape(served), PREDICTIONS).keys()

    seconds = wait_until(lambda: len(left()) < REPLICAS, STALE_S + SLACK_S)
    (gone,) = before.keys() - left()
    wait_until(lambda: len(served.replicas()) == REPLICAS, 60.0)
    wait_until(lambda: served.service.status().replicas == REPLICAS, 60.0)
    _, rows = send(served, 5)
    due = sum(before.values()) - before[gone] + sum(rows.values())
    wait_until(
        lambda: sum(by_replica(scrape(served), PREDICTIONS).values()) == due, EVERY_S + SLACK_S
    )
    for _ in range(4 * REPLICAS):
        samples = scrape(served)
        now = by_replica(samples, PREDICTIONS)
        assert gone not in {dict(labels).get("replica") for _, labels in samples}
        assert all(now[name] >= before[name] for name in before.keys() - {gone})
        # The one that took its place is told from its start on.
        assert len(by_replica(samples, "pilothouse_model_info")) == REPLICAS
    tell(f"metrics: samples of a killed replica were gone after {seconds:.1f} s; then {now}")
