"""What a simulation sends to the served model: rows, and their labels by request id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from core.cli_simulate import sentence
from core.domain import Batch, RunStatus
from core.domain_watching import Check
from core.errors import UnavailableError
from core.problems.contract import Arrivals, DatasetSource
from core.settings import Settings
from core.simulation import calling, simulation
from core.simulation.calling import Asked, Caller
from core.simulation.simulation import simulate
from serve.labels import LabelDecoder
from tests.serving_support import OWN_TOKEN, FixedKeys, admission
from tests.unit.core_fakes import PROBLEM, World, make_world

AT_ONCE = 2
LATER = pa.table(
    {
        "weight": [30.0, 40.0, 50.0, 60.0, 70.0],
        "stones": [1, None, 2, 1, 1],
        "colour": ["blue", "blue", "yellow", "blue", "blue"],
        "taste": ["sweet", "sour", "sweet", "sour", "sweet"],
    }
)


def _id(number: int) -> str:
    return f"{number:032x}"


@dataclass
class Server:
    """Answers as the served model does, and keeps what it was asked."""

    failures: list[Exception | httpx.Response] = field(default_factory=list)
    seen: list[tuple[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        body = json.loads(request.content)
        self.seen.append((request.url.path, body))
        self.keys.append(request.headers.get("authorization", ""))
        if request.url.path == "/labels/plums":
            # The server's own rules: it refuses what is not as the contract says.
            decoder = LabelDecoder(PROBLEM.contract, 10)
            return httpx.Response(200, json={"taken": decoder.decode(request.content).num_rows})
        said = [{"label": "sweet", "probability": 0.9}] * len(body["records"])
        answer = {"request_id": _id(len(self.seen)), "model_version": 4, "predictions": said}
        return httpx.Response(200, json=answer)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def caller(server: Server, tmp_path: Path) -> Iterator[Caller]:
    keys = FixedKeys(admission(tmp_path, required=True))
    made = Caller(Settings(home=tmp_path), keys, AT_ONCE, httpx.MockTransport(server))
    yield made
    made.close()


def _rows(number: int) -> pa.Table:
    columns = {
        "weight": pa.array([40.0 + row for row in range(number)]),
        "stones": pa.array([1.0, None, 2.0, 3.0, 1.0][:number], pa.float64()),
        "colour": pa.array(["blue", None, "yellow", "blue", "blue"][:number]),
    }
    return pa.table(columns)


def test_every_row_is_sent_once_and_labels_follow_by_request(
    caller: Caller, server: Server
) -> None:
    asked = caller.predict("plums", _rows(3), PROBLEM.contract)
    assert asked == (Asked(_id(1), 4, 0, 2), Asked(_id(2), 4, 2, 1))
    assert [path for path, _ in server.seen] == ["/predict/plums"] * 2
    records = [record for _, body in server.seen for record in body["records"]]
    assert records == [
        {"weight": 40.0, "stones": 1, "colour": "blue"},
        {"weight": 41.0, "stones": None, "colour": None},
        {"weight": 42.0, "stones": 2, "colour": "yellow"},
    ]
    # A whole number is written as one: 1.0 is no integer to JSON's readers.
    assert isinstance(records[0]["stones"], int)
    assert caller.tell_labels("plums", asked, ["sweet", "sour", "sweet"]) == 3
    told = [label for _, body in server.seen[2:] for label in body["labels"]]
    assert told == [
        {"request_id": _id(1), "index": 0, "label": "sweet"},
        {"request_id": _id(1), "index": 1, "label": "sour"},
        {"request_id": _id(2), "index": 0, "label": "sweet"},
    ]
    assert set(server.keys) == {f"Bearer {OWN_TOKEN}"}


def test_what_is_away_for_a_moment_is_asked_again(
    caller: Caller, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "POLL_S", 0.0)
    server.failures = [httpx.ConnectError("refused"), httpx.Response(503, text="away")]
    assert len(caller.predict("plums", _rows(1), PROBLEM.contract)) == 1
    monkeypatch.setattr(calling, "PATIENCE_S", -1.0)
    server.failures = [httpx.Response(503, text="away")]
    with pytest.raises(UnavailableError, match="status 503"):
        caller.predict("plums", _rows(1), PROBLEM.contract)
    # What is wrong is wrong the next time too.
    monkeypatch.setattr(calling, "PATIENCE_S", 60.0)
    said = {"error": {"message": "unknown field", "details": []}}
    server.failures = [httpx.Response(422, json=said)]
    with pytest.raises(UnavailableError, match="unknown field"):
        caller.predict("plums", _rows(1), PROBLEM.contract)
    assert not server.failures


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Days pass without a worker: checks are taken as done, nothing is retrained."""
    made = make_world(tmp_path / "world")
    monkeypatch.setattr(simulation, "_checked", _checked)
    monkeypatch.setattr(simulation, "_after_retrain", lambda *_: None)
    yield made
    made.close()


def _checked(_: object, batch: Batch) -> Check:
    now = datetime.now(UTC)
    return Check("c1", batch.problem, RunStatus.FINISHED, 4, "arrival", now, batch_id=batch.id)


def test_a_days_rows_are_asked_about_and_their_labels_come_late(
    world: World, caller: Caller, server: Server
) -> None:
    problem = replace(PROBLEM, arrivals=Arrivals(DatasetSource("test", "later")))
    days = list(
        simulate(
            world.pilothouse,
            problem,
            {"test": lambda _: LATER},
            caller,
            days=2,
            labels_after=1,
            seed=7,
            actor="operator",
        )
    )
    assert [(day.batch.rows, day.predicted, day.versions) for day in days] == [
        (3, 3, (4,)),
        (2, 2, (4,)),
    ]
    assert [(day.labels, day.labels_by_request) for day in days] == [(0, 0), (3, 3)]
    told = [one for path, body in server.seen if path == "/labels/plums" for one in body["labels"]]
    assert [one["label"] for one in told] == LATER.column("taste").to_pylist()[:3]
    asked = [r for path, body in server.seen if path == "/predict/plums" for r in body["records"]]
    assert [one["weight"] for one in asked] == LATER.column("weight").to_pylist()
    assert sentence(days[1]).endswith("3 late labels came for the batch, 3 by request.")
    assert "2 rows, answered by v4." in sentence(days[1])
