"""A canary answers its share, in every protocol alike, and never fails a caller."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.deployment.metrics import BOUNDS_S
from core.rollout.notes import PROBABILITY_BINS, read_notes
from serve.recorder import Answered
from serve.rollout_file import RolloutFiles
from serve.split import CALLER_KEY
from tests.serving_support import RECORD, TITANIC, expected_probability
from tests.unit.protocols import csv_of, infer_document
from tests.unit.rollout_replica import ROLLOUT, Replica, plan, replica, until

TITANIC_PATH = "/predict/titanic"
BODY: dict[str, Any] = {"json": {"records": [RECORD]}}


class Raises:
    """A scorer that cannot score."""

    def __init__(self, _: object) -> None:
        pass

    def probabilities(self, columns: Any) -> Any:
        raise RuntimeError("out of order")


class NoNumber(Raises):
    """A scorer that finds no number."""

    def probabilities(self, columns: Any) -> Any:
        return np.full(len(columns["Sex"]), np.nan)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Replica]:
    with replica(tmp_path) as one:
        yield one


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_canary_answers_its_share(serving: Replica, share: float) -> None:
    serving.hold(1, plan(2, share))
    answered = Counter(serving.predict(200))
    assert abs(answered[2] - share * 200) <= 3
    notes = serving.notes()
    assert {v: notes.of(0, v).requests for v in (1, 2)} == {1: answered[1], 2: answered[2]}


def test_a_caller_is_answered_by_the_same_version_and_stays_as_the_share_grows(
    serving: Replica,
) -> None:
    keys = {number: f"caller {number % 40}" for number in range(120)}
    before: set[str] = set()
    for step, share in enumerate((0.1, 0.5, 0.9)):
        serving.hold(1, plan(2, share, step))
        by_caller: dict[str, set[int]] = {}
        for number, version in enumerate(serving.predict(120, keys)):
            by_caller.setdefault(keys[number], set()).add(version)
        assert all(len(versions) == 1 for versions in by_caller.values())
        now = {key for key, versions in by_caller.items() if versions == {2}}
        assert before <= now
        before = now
    assert before


def asked_by_every_protocol(headers: dict[str, str]) -> list[tuple[str, str, dict[str, Any]]]:
    kind = {"Content-Type": "text/csv", **headers}
    return [
        ("POST", TITANIC_PATH, {**BODY, "headers": headers}),
        (
            "POST",
            "/v2/models/titanic/infer",
            {"json": infer_document(TITANIC, [RECORD]), "headers": headers},
        ),
        (
            "POST",
            "/invocations/titanic",
            {"json": {"instances": [RECORD]}, "headers": headers},
        ),
        ("POST", "/invocations", {"content": csv_of([RECORD]), "headers": kind}),
    ]


def version_of(document: dict[str, Any]) -> int:
    return int(document["model_version"])


def test_every_protocol_chooses_alike(serving: Replica) -> None:
    serving.hold(1, plan(2, 0.5))
    chosen: list[int] = []
    for number in range(20):
        asked = asked_by_every_protocol({CALLER_KEY: f"caller {number}"})
        answers = serving.call_all(asked)
        assert {answer.status_code for answer in answers} == {200}
        versions = {version_of(answer.json()) for answer in answers}
        assert len(versions) == 1, number
        chosen += versions
    assert set(chosen) == {1, 2}
    notes = serving.notes()
    assert notes.of(0, 2).requests == 4 * chosen.count(2)
    assert notes.of(0, 1).rows == 4 * chosen.count(1)


def test_a_version_that_is_named_answers_or_nobody_does(serving: Replica) -> None:
    def infer(version: int) -> Any:
        _, _, given = asked_by_every_protocol({})[1]
        return serving.call("POST", f"/v2/models/titanic/versions/{version}/infer", **given)

    serving.hold(1, plan(2, 0.5))
    for version in (1, 2):
        assert [version_of(infer(version).json()) for _ in range(3)] == [version] * 3
    assert infer(3).status_code == 404
    assert "version 1 is" in infer(3).json()["error"]
    assert serving.notes().steps == {}, "it is no part of the split"
    assert serving.call("GET", "/v2/models/titanic/versions/2").status_code == 404
    # Nobody gets the answers of a shadow.
    serving.hold(1, plan(2, 0.5, kind="shadow", rollout="r-2"))
    assert infer(2).status_code == 404


@pytest.mark.parametrize("fault", [Raises, NoNumber])
def test_a_canary_that_cannot_answer_fails_nobody(
    serving: Replica, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[Answered] = []
    monkeypatch.setattr(serving.logs.inference, "record", logged.append)
    serving.loads.scores[2] = fault
    serving.hold(1, plan(2, 0.5))
    for ask in asked_by_every_protocol({}) * 5:
        answer = serving.call(*ask[:2], **ask[2])
        assert (answer.status_code, version_of(answer.json())) == (200, 1)
    notes = serving.notes()
    canary, production = notes.of(0, 2), notes.of(0, 1)
    assert canary.requests == canary.failed == 10
    assert canary.rows == 0
    assert (production.requests, production.failed, production.rows) == (10, 0, 20)
    assert [(one.version, one.probabilities.size) for one in logged] == [(1, 1)] * 20
    assert len({one.request_id for one in logged}) == 20


def test_what_breaks_the_contract_is_the_callers(serving: Replica) -> None:
    serving.hold(1, plan(2, 1.0))
    refused = [
        serving.call("POST", TITANIC_PATH, json={"records": [{**RECORD, "Pclass": 9}]}),
        serving.call("POST", TITANIC_PATH, content=b"{"),
        serving.call("POST", TITANIC_PATH, content=b"", headers={"Content-Type": "text/xml"}),
        serving.call("POST", "/invocations", json={"instances": [{}]}),
        serving.call("POST", "/v2/models/titanic/infer", json={}),
        serving.call("POST", "/labels/titanic", json={}),
    ]
    assert {answer.status_code for answer in refused} <= {400, 415, 422}
    assert serving.notes().steps == {}


def test_production_that_fails_is_counted_as_production(serving: Replica) -> None:
    serving.loads.scores[1] = Raises
    serving.hold(1, plan(2, 0.5))
    answers = serving.call_all([("POST", TITANIC_PATH, BODY)] * 20)
    notes = serving.notes()
    assert Counter(answer.status_code for answer in answers) == {200: 10, 500: 10}
    assert (notes.of(0, 1).requests, notes.of(0, 1).failed, notes.of(0, 1).rows) == (10, 10, 0)
    assert (notes.of(0, 2).requests, notes.of(0, 2).failed) == (10, 0)


def test_what_both_cannot_score_is_counted_against_both_alike(serving: Replica) -> None:
    serving.loads.scores |= {1: NoNumber, 2: NoNumber}
    serving.hold(1, plan(2, 0.5))
    answers = serving.call_all([("POST", TITANIC_PATH, BODY)] * 20)
    assert {answer.status_code for answer in answers} == {422}
    notes = serving.notes()
    assert [(notes.of(0, v).requests, notes.of(0, v).failed) for v in (1, 2)] == [(10, 10)] * 2


def test_a_version_without_numbers_fails_in_its_last_step_too(serving: Replica) -> None:
    serving.loads.scores[2] = NoNumber
    serving.hold(2, plan(1, 0.0, step=2))
    assert serving.call("POST", TITANIC_PATH, **BODY).status_code == 422
    told = serving.notes().of(2, 2)
    assert (told.requests, told.failed, told.rows) == (1, 1, 0)


def test_labels_and_what_is_told_stay_with_production(serving: Replica) -> None:
    serving.hold(1, plan(2, 1.0))
    assert serving.call("GET", "/problems/titanic").json()["version"] == 1
    assert serving.call("GET", "/v2/models/titanic").json()["versions"] == ["1"]
    assert serving.notes().steps == {}


def test_durations_rows_and_probabilities_are_noted(serving: Replica) -> None:
    serving.hold(1, plan(2, 1.0, step=1))
    records = [{**RECORD, "Age": float(age)} for age in range(30)]
    for _ in range(3):
        serving.call("POST", TITANIC_PATH, json={"records": records})
    told = serving.notes().of(1, 2)
    assert (told.requests, told.failed, told.rows) == (3, 0, 90)
    assert len(told.durations) == len(BOUNDS_S) + 1
    assert sum(told.durations) == 3
    assert 0 < told.seconds < 3 * 60
    expected = Counter(
        math.floor(expected_probability(record, bias=1.0) * PROBABILITY_BINS) for record in records
    )
    found = {place: count for place, count in enumerate(told.probabilities) if count}
    assert found == {place: 3 * count for place, count in expected.items()}


def test_a_large_body_is_answered_by_the_one_chosen(serving: Replica) -> None:
    serving.loads.scores[2] = Raises
    serving.hold(1, plan(2, 1.0))
    answer = serving.call("POST", TITANIC_PATH, json={"records": [RECORD] * 3000})
    assert (answer.status_code, answer.json()["model_version"]) == (200, 1)
    assert (serving.notes().of(0, 2).failed, serving.notes().of(0, 1).rows) == (1, 3000)


def test_counts_of_earlier_steps_stay_and_the_last_step_is_productions(serving: Replica) -> None:
    answered = {}
    for step, share in enumerate((0.1, 0.5)):
        serving.hold(1, plan(2, share, step))
        answered[step] = Counter(serving.predict(40))
    serving.hold(2, plan(1, 0.0, step=2))
    answered[2] = Counter(serving.predict(10))
    assert answered[2] == {2: 10}
    notes = serving.notes()
    told = {step: {v: of.requests for v, of in by.items()} for step, by in notes.steps.items()}
    assert told == answered
    # And back: whoever asks then is answered by the version of before.
    serving.hold(1)
    assert set(serving.predict(10)) == {1}
    assert serving.notes() == notes


def test_replicas_leave_files_that_add_up(tmp_path: Path) -> None:
    answered: Counter[int] = Counter()
    for name in ("a", "b"):
        with replica(tmp_path, name) as one:
            one.logs.note_rollouts(one.store)
            one.hold(1, plan(2, 0.3))
            answered.update(one.predict(50))
    # Each has ended and left its own.
    assert {file.name for file in (tmp_path / "rollouts" / ROLLOUT).iterdir()} == {
        "a.json",
        "b.json",
    }
    notes = read_notes(tmp_path / "rollouts", ROLLOUT, examples=5)
    assert {v: notes.of(0, v).requests for v in (1, 2)} == dict(answered)
    assert sum(notes.of(0, 2).durations) == notes.of(0, 2).rows == answered[2]


def test_the_file_is_replaced_while_the_rollout_is_on_and_once_after_its_end(
    serving: Replica,
) -> None:
    folder = serving.home / "rollouts"
    serving.hold(1)
    files = RolloutFiles("r1", serving.store, every_s=0.01)
    serving.hold(1, plan(2, 1.0))

    def requests() -> int:
        return read_notes(folder, ROLLOUT, examples=0).of(0, 2).requests

    until(lambda: (folder / ROLLOUT / "r1.json").exists())
    serving.predict(3)
    until(lambda: requests() == 3)
    serving.predict(2)
    serving.hold(1)
    until(lambda: requests() == 5)
    (folder / ROLLOUT / "r1.json").unlink()
    serving.predict(2)
    files.close()
    assert not list((folder / ROLLOUT).iterdir()), "nothing was counted since"


def test_a_folder_that_cannot_be_written_stops_nothing(serving: Replica) -> None:
    (serving.home / "rollouts").write_text("in the way")
    files = RolloutFiles("r1", serving.store, every_s=0.01)
    serving.hold(1, plan(2, 1.0))
    serving.predict(3)
    until(lambda: files._failed)
    (serving.home / "rollouts").unlink()
    until(lambda: read_notes(serving.home / "rollouts", ROLLOUT, 0).of(0, 2).requests == 3)
    files.close()


def test_metrics_tell_the_share_of_a_second_version(serving: Replica) -> None:
    serving.hold(1, plan(2, 0.25, step=1))
    text = serving.call("GET", "/metrics").text
    told = {
        (s.labels["version"], s.labels["kind"], s.labels["step"]): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
        if s.name == "pilothouse_rollout_share"
    }
    assert told == {("2", "canary", "1"): 0.25}
    serving.hold(1)
    assert "pilothouse_rollout_share" not in serving.call("GET", "/metrics").text


def test_without_a_rollout_nothing_is_chosen_or_noted(serving: Replica) -> None:
    serving.hold(1)
    scope: dict[str, Any] = {}
    sent: list[Any] = []

    async def ask() -> None:
        async def receive() -> dict[str, Any]:
            body = json.dumps({"records": [RECORD]}).encode()
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(CALLER_KEY.lower().encode(), b"somebody")]
        scope.update(type="http", method="POST", path=TITANIC_PATH, headers=headers)
        await serving.app(scope, receive, send)

    asyncio.run(ask())
    assert sent[0]["status"] == 200
    assert set(scope) == {"type", "method", "path", "headers"}
    assert serving.store.seconds.counts() == ()
    ready = serving.call("GET", "/readyz").json()
    assert ready["problems"] == {"titanic": {"version": 1, "failure": ""}}


def test_the_document_says_what_a_rollout_changes(serving: Replica) -> None:
    serving.hold(1, plan(2, 0.5))
    document = serving.call("GET", "/openapi.json").json()
    takes_it = {
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if parameter["name"] == CALLER_KEY
    }
    assert takes_it == {
        TITANIC_PATH,
        "/v2/models/titanic/infer",
        "/invocations/titanic",
        "/invocations",
    }
    assert CALLER_KEY in serving.call("GET", "/docs").text
    answered = document["paths"]["/readyz"]["get"]["responses"]["200"]
    jsonschema.validate(
        serving.call("GET", "/readyz").json(), answered["content"]["application/json"]["schema"]
    )
