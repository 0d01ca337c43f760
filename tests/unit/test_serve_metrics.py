"""Metrics: what is counted, how processes are joined, and the dashboard that reads them."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.deployment.metrics import (
    STALE_S,
    Family,
    Sample,
    join,
    read_metrics,
    render,
    write_metrics,
)
from core.domain import RunStatus
from core.domain_watching import Level
from core.monitoring.gauges import CheckGauges
from core.settings import CODE_ROOT
from serve.counts import BOUNDS_S, Counts
from serve.gate import Gate
from serve.metrics_file import MetricsFile
from serve.store import Snapshot
from tests.serving_support import OWN_TOKEN, RECORD, admission
from tests.unit.app_watching_values import make_check, make_drift_report
from tests.unit.protocols import PROBLEMS, VERSION, WAYS, Endpoint, endpoint, records_of

Series = dict[tuple[str, ...], float]


@pytest.fixture
def end(tmp_path: Path) -> Iterator[Endpoint]:
    with endpoint(tmp_path) as serving:
        yield serving


def series(text: str, name: str, *labels: str) -> Series:
    """Values of the samples of a name by some labels, as Prometheus' own parser reads them."""
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def scraped(end: Endpoint, **headers: str) -> str:
    response = end.call("GET", "/metrics", headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return response.text


def test_requests_are_counted_by_problem_route_and_status(end: Endpoint) -> None:
    for way in ("predict", "infer", "infer, binary", "csv"):
        problem = PROBLEMS["titanic"]
        assert WAYS[way](end, problem, records_of(problem, 5, seed=1)).status_code == 200
    end.call("POST", "/predict/titanic", json={"records": [{}]})
    end.call("POST", "/predict/made-up", json={})
    end.call("GET", "/nothing")
    end.call("GET", "/predict/titanic")
    text = scraped(end)
    found = series(text, "pilothouse_requests_total", "problem", "route", "status")
    assert found == {
        ("titanic", "predict", "200"): 1,
        ("titanic", "infer", "200"): 2,
        ("titanic", "invocations", "200"): 1,
        ("titanic", "predict", "422"): 1,
        ("titanic", "predict", "405"): 1,
        ("", "predict", "404"): 1,
        ("", "other", "404"): 1,
    }
    assert series(text, "pilothouse_predictions_total", "problem", "version") == {
        ("titanic", str(VERSION)): 20
    }
    assert series(text, "pilothouse_model_info", "problem", "version", "replica") == {
        (name, str(VERSION), "r1"): 1 for name in PROBLEMS
    }
    assert series(text, "pilothouse_inference_log_rows_lost_total", "problem") == {
        (name,): 0 for name in PROBLEMS
    }


def test_durations_are_a_histogram() -> None:
    counts = Counts("r1")
    given = (0.00005, 0.0004, BOUNDS_S[2], 0.3, 99.0)
    for seconds in given:
        counts.note("titanic", "predict", 200, seconds)
    text = counts.text(Snapshot())
    name = "pilothouse_request_duration_seconds"
    found = series(text, f"{name}_bucket", "le")
    for bound in BOUNDS_S:
        assert found[(str(bound),)] == sum(seconds <= bound for seconds in given)
    assert found[("+Inf",)] == 5
    assert series(text, f"{name}_count", "problem") == {("titanic",): 5}
    assert series(text, f"{name}_sum", "problem")[("titanic",)] == pytest.approx(sum(given))
    (family,) = [f for f in text_string_to_metric_families(text) if f.name == name]
    assert family.type == "histogram"


def test_bounds_are_close_enough_for_percentiles() -> None:
    below_a_second = [bound for bound in BOUNDS_S if bound <= 1.0]
    assert below_a_second == sorted(set(below_a_second))
    for low, high in itertools.pairwise(below_a_second):
        assert high / low <= 1.5 + 1e-9


def test_lost_rows_are_counted() -> None:
    counts = Counts("r1")
    counts.add_lost("titanic", 3)
    counts.add_lost("titanic", 4)
    found = series(counts.text(Snapshot()), "pilothouse_inference_log_rows_lost_total", "problem")
    assert found == {("titanic",): 7}


def test_whoever_answers_tells_of_all(end: Endpoint, tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    other = Counts("r2")
    other.note("titanic", "predict", 200, 0.001)
    write_metrics(folder, "r2", other.text(Snapshot()))
    # What this replica has written itself is older than what it knows.
    write_metrics(folder, "r1", other.text(Snapshot()))
    end.call("POST", "/predict/titanic", json={"records": [RECORD]})
    end.call("POST", "/predict/titanic", json={"records": [RECORD]})
    found = series(scraped(end), "pilothouse_requests_total", "replica", "route")
    assert found == {("r1", "predict"): 2, ("r2", "predict"): 1}
    assert scraped(end).count("# TYPE pilothouse_requests_total") == 1
    gone = time.time() - STALE_S - 1
    os.utime(folder / "r2.prom", (gone, gone))
    assert set(series(scraped(end), "pilothouse_requests_total", "replica")) == {("r1",)}


def test_a_replica_keeps_its_file_and_takes_it_away(end: Endpoint, tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    kept = MetricsFile(end.logs.counts, end.store, every_s=0.02)
    deadline = time.monotonic() + 20
    while not read_metrics(folder):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "pilothouse_model_info" in read_metrics(folder)[0]
    assert read_metrics(folder, but="r1") == []
    kept.close()
    assert list(folder.iterdir()) == []


def test_only_the_installations_key_opens_it(tmp_path: Path) -> None:
    gate = Gate()
    gate.apply({"access": admission(tmp_path, required=True).model_dump(mode="json")})
    with endpoint(tmp_path, gate=gate) as closed:
        assert closed.call("GET", "/metrics").status_code == 401
        assert "pilothouse_model_info" in scraped(closed, authorization=f"Bearer {OWN_TOKEN}")


def test_labels_are_escaped() -> None:
    text = render([Family("a", "gauge", "What.", [Sample({"x": 'q"\\\n'}, 0.5)])])
    assert series(text, "a", "x") == {('q"\\\n',): 0.5}
    assert series(join([text, text.replace("0.5", "1")]), "a") == {(): 1.0}
    assert render([Family("a", "gauge", "What.", [])]) == ""


class Checks:
    """Checks in memory that count how often a report is read."""

    def __init__(self) -> None:
        self.found = [
            replace(make_check(3), status=RunStatus.RUNNING),
            make_check(2),
            make_check(1),
        ]
        self.read: list[str] = []

    def list(self, problem: str | None = None, limit: int = 100) -> list[Any]:
        return [check for check in self.found if check.problem == problem]

    def report(self, check_id: str) -> Any:
        self.read.append(check_id)
        return make_drift_report(2, Level.CRITICAL)


def test_the_newest_check_is_told(tmp_path: Path) -> None:
    checks = Checks()
    gauges = CheckGauges(checks, ["titanic", "car_loan"], tmp_path)
    gauges.write()
    gauges.write()
    assert checks.read == [make_check(2).id]
    (text,) = read_metrics(tmp_path)
    assert series(text, "pilothouse_check_level", "problem") == {("titanic",): 2}
    assert series(text, "pilothouse_check_rows", "problem") == {("titanic",): 418}
    psi = series(text, "pilothouse_drift_psi", "problem", "column")
    assert psi[("titanic", "Fare")] == pytest.approx(0.31)
    assert series(text, "pilothouse_performance_estimated", "metric")


def queries() -> Iterator[str]:
    board = json.loads((CODE_ROOT / "deploy" / "grafana" / "pilothouse.json").read_text("utf-8"))
    for panel in board["panels"]:
        assert {"x", "y", "w", "h"} == set(panel["gridPos"])
        for target in panel["targets"]:
            yield target["expr"]
    for variable in board["templating"]["list"]:
        yield variable.get("definition", "")


def test_the_dashboard_asks_for_what_there_is(end: Endpoint, tmp_path: Path) -> None:
    CheckGauges(Checks(), ["titanic"], tmp_path / "metrics").write()
    end.call("POST", "/predict/titanic", json={"records": [RECORD]})
    text = scraped(end)
    told = {s.name for family in text_string_to_metric_families(text) for s in family.samples}
    asked = {name for query in queries() for name in re.findall(r"pilothouse_\w+", query)}
    # No label has come, and no rollout is on.
    assert asked - told <= {"pilothouse_performance_realized", "pilothouse_rollout_share"}
    # Whatever is told is drawn, and documented.
    page = (CODE_ROOT / "docs" / "metrics.md").read_text("utf-8")
    for name in told:
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert any(of.startswith(family) for of in asked), name
        assert family in page, name


def test_the_dashboards_labels_exist(end: Endpoint) -> None:
    end.call("POST", "/predict/titanic", json={"records": [RECORD]})
    labels = {"column", "metric", "kind"}
    for family in text_string_to_metric_families(scraped(end)):
        for sample in family.samples:
            labels |= set(sample.labels)
    for query in queries():
        grouped = [
            part for group in re.findall(r"by \(([^)]*)\)", query) for part in group.split(",")
        ]
        matched = re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query)
        assert {part.strip() for part in grouped} | set(matched) <= labels, query


def test_counting_survives_a_caller_who_leaves(end: Endpoint) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError("nobody is there")

    scope = {"type": "http", "method": "POST", "path": "/predict/titanic", "headers": []}
    asyncio.run(end.app(scope, receive, send))
    assert series(scraped(end), "pilothouse_requests_total", "route") == {}
