"""The load on the Serving page: numbers, replicas, decisions, and every state without them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from app import charts
from core.deployment.load_history import LoadPoint
from core.deployment.load_view import view
from core.deployment.scaling import ScalingDecision, explain
from core.errors import UnavailableError
from tests.unit.app_fakes import FakeCore, make_core, make_run, open_panel, texts
from tests.unit.load_values import (
    AT,
    POLICY,
    later,
    make_point,
    make_traffic,
    replica_set,
    steady,
)

NOW = datetime.now(UTC)


def points(load: float = 45.0, count: int = 8) -> tuple[LoadPoint, ...]:
    ages = range(3 * count, 0, -3)
    return tuple(make_point(NOW - timedelta(seconds=age), load) for age in ages)


def decision(before: int = 1, after: int = 3, load: float = 45.0) -> ScalingDecision:
    made = explain(before, after, (POLICY, POLICY), steady(load, 80), AT)
    return made.model_copy(update={"at": NOW - timedelta(minutes=2)})


def loaded(decisions: tuple[ScalingDecision, ...] = (), load: float = 45.0) -> FakeCore:
    core = make_core(make_run(4), production=4)
    core.load.points = points(load)
    core.load.state = view(
        replica_set(3, ("running", "running", "starting")), points(load), decisions, now=NOW
    )
    return core


def test_the_numbers_of_now_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, loaded(), "serving")
    said = texts(panel)
    for fact in ("Requests/s: 120", "p50: 1.2 ms", "p95: 4.5 ms", "p99: 9.2 ms"):
        assert fact in said, fact
    for fact in ("Errors: 0 %", "Refused: 3", "Replicas: 2", "Asked for: 3", "Allowed: 1 to 3"):
        assert fact in said, fact
    assert "In flight: 45.0" in said
    assert "Stays at 3: 45 requests in flight, against a target of 16 each." in said
    assert "Requests for predictions over the last 10 s." in said
    assert not panel.exception


def test_each_replica_has_its_state_and_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, loaded(), "serving")
    table = next(one.value for one in panel.dataframe if "Replica" in one.value)
    assert table["Replica"].tolist() == ["r1", "r2", "r3"]
    assert table["State"].tolist() == ["✓ running", "✓ running", "◌ starting"]
    assert table["Serves"].tolist() == ["titanic v4", "", ""]
    assert table["In flight"].tolist()[0] == 45.0


def test_decisions_come_newest_first_with_their_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    made = (decision(3, 1, 0.0), decision())
    panel = open_panel(monkeypatch, loaded(made), "serving")
    (said,) = (one.value for one in panel.markdown if "**3 → 1**" in one.value)
    first, second = said.splitlines()
    assert first.startswith("- **3 → 1** · ")
    assert made[0].sentence in first
    assert second.startswith("- **1 → 3** · ")
    assert made[1].sentence in second
    assert " min ago): Asked for 3 replicas" in second
    assert not panel.expander[0].label.startswith("Before")
    assert "None yet." in texts(open_panel(monkeypatch, loaded(), "serving"))


def test_no_traffic_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    core = loaded(load=0.0)
    quiet = make_traffic(0, p50_ms=None, p95_ms=None, p99_ms=None, error_rate=None)
    silent = make_point(NOW, 0.0, total=quiet, problems={})
    core.load.state = view(replica_set(), (silent,), (), now=NOW)
    said = texts(open_panel(monkeypatch, core, "serving"))
    assert "No request for a prediction in the last 10 s." in said
    assert "Requests/s: 0.0" in said
    assert "p50: –" in said
    assert "Stays at 1, the minimum: 0 requests in flight" in said


def test_a_worker_that_measures_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    core = loaded()
    core.load.state, core.load.points = view(replica_set(), (), (), now=NOW), ()
    said = texts(open_panel(monkeypatch, core, "serving"))
    assert "Nothing was measured in the last seconds." in said
    assert "is not known yet" in said


def test_ray_that_is_down_leaves_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    core = loaded()
    down = "Ray's dashboard does not answer. Run `make status`, then `make up`."
    core.load.state = view(None, points(), (decision(),), now=NOW, unavailable=down)
    panel = open_panel(monkeypatch, core, "serving")
    assert "Asked for:" not in texts(panel)
    assert "**1 → 3**" in texts(panel)
    core.load.state = UnavailableError("measured.json cannot be read.", fix="Remove it.")
    panel = open_panel(monkeypatch, core, "serving")
    assert "**measured.json cannot be read.**" in panel.warning[0].value
    assert not panel.exception


def test_nothing_deployed_shows_no_load(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(), "serving")
    assert "Load" not in [one.value for one in panel.subheader]


def test_charts_have_titles_and_units() -> None:
    drawn = {
        "Request rate": (charts.rate_chart(points(), "titanic"), "Requests a second"),
        "Time to an answer": (charts.latency_chart(points(), "titanic"), "Milliseconds"),
        "Requests in flight": (charts.load_chart(points(), 16.0), "Requests"),
        "Replicas": (charts.replicas_chart(points()), "Replicas"),
    }
    for title, (drawing, unit) in drawn.items():
        document = drawing.to_dict()
        assert document["title"] == title
        assert document["layer"][0]["encoding"]["y"]["title"] == unit
        assert document["layer"][0]["encoding"]["x"]["title"] == "UTC"


def test_a_pause_in_measuring_is_a_gap() -> None:
    early = [make_point(later(3 * n)) for n in range(5)]
    late = [make_point(later(300 + 3 * n)) for n in range(5)]
    document = json.loads(charts.replicas_chart([*early, *late]).to_json())
    rows = next(iter(document["datasets"].values()))
    assert {row["part"] for row in rows} == {0, 1}
    assert charts.load_chart(early, None).to_dict()["title"] == "Requests in flight"


def test_older_decisions_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, loaded((decision(),) * 7), "serving")
    (folded,) = [one for one in panel.expander if one.label.startswith("Before")]
    assert folded.label == "Before: 2 decisions"
    assert folded.markdown[0].value.count("1 → 3") == 2
