"""A shadow scores what was answered, and touches no answer whatever it does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.deployment.metrics import BOUNDS_S
from core.rollout.notes import DIFFERENCE_BINS, ShadowNotes, read_notes
from serve.comparison import Comparison, Side, record_at
from serve.recorder import Answered
from serve.split import CALLER_KEY, Split
from tests.serving_support import RECORD, THRESHOLD, expected_probability
from tests.unit.rollout_replica import ROLLOUT, Replica, plan, replica, until

PATH = "/predict/titanic"


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Replica]:
    with replica(tmp_path) as one:
        yield one


def shadow(version: int = 2, **changed: Any) -> Any:
    given: dict[str, Any] = {"kind": "shadow", "share": 1.0, "queue_requests": 100, "examples": 3}
    return plan(version, **{**given, **changed})


class Scores:
    """A scorer that does something once it has been let loose, as the check at loading is over."""

    def __init__(self, act: Any) -> None:
        self.act = act
        self.loose = False

    def __call__(self, scorer: Any) -> Scores:
        self.scorer = scorer
        return self

    def probabilities(self, columns: Any) -> Any:
        if self.loose:
            self.act()
        return self.scorer.probabilities(columns)


def compared(serving: Replica, requests: int) -> ShadowNotes:
    """What is noted once so many requests have been compared, failed or skipped."""

    def seen() -> int:
        notes = serving.notes().shadow
        return notes.requests + notes.failed + notes.skipped

    until(lambda: seen() == requests)
    return serving.notes().shadow


def test_both_are_compared_row_by_row(serving: Replica) -> None:
    serving.hold(1, shadow(3))
    records = [
        {**RECORD, "Sex": sex, "Age": age}
        for sex in ("male", "female")
        for age in (None, *(float(age) for age in range(1, 60, 7)))
    ]
    answers = [
        serving.call("POST", PATH, json={"records": records[start::3]}) for start in range(3)
    ]
    assert {answer.json()["model_version"] for answer in answers} == {1}
    notes = compared(serving, 3)
    one = [expected_probability(record) for record in records]
    two = [expected_probability(record, bias=2.0) for record in records]
    assert (notes.requests, notes.failed, notes.skipped, notes.rows) == (3, 0, 0, len(records))
    assert notes.agreed == sum(
        (a >= THRESHOLD) == (b >= THRESHOLD) for a, b in zip(one, two, strict=True)
    )
    assert 0 < notes.agreed < len(records)
    assert len(notes.differences) == DIFFERENCE_BINS
    assert sum(notes.differences) == len(records)
    assert sum(notes.differences[: DIFFERENCE_BINS // 2]) == 0, "the second is above everywhere"
    for durations in (notes.production_durations, notes.shadow_durations):
        assert (len(durations), sum(durations)) == (len(BOUNDS_S) + 1, 3)
    largest = sorted((b - a for a, b in zip(one, two, strict=True)), reverse=True)[:3]
    told = [worst.shadow - worst.production for worst in notes.worst]
    assert told == pytest.approx(largest, abs=1e-6)
    by_id = {answer.json()["request_id"]: answer.json() for answer in answers}
    for worst in notes.worst:
        answered = by_id[worst.request_id]["predictions"][worst.row]
        assert answered["probability"] == worst.production
        assert abs(datetime.now(UTC) - worst.at) < timedelta(minutes=5)


def test_a_record_is_kept_as_plain_values(serving: Replica) -> None:
    serving.hold(1, shadow(examples=1))
    record = {**RECORD, "Age": None, "Embarked": None}
    serving.call("POST", PATH, json={"records": [record]})
    (worst,) = compared(serving, 1).worst
    assert worst.record["Age"] is None
    assert worst.record["Embarked"] is None
    assert (worst.record["Pclass"], worst.record["Sex"]) == (3.0, "male")
    columns = {"n": np.array([1.5, np.nan]), "t": np.array(["a", None], dtype=object)}
    assert [record_at(columns, row) for row in (0, 1)] == [
        {"n": 1.5, "t": "a"},
        {"n": None, "t": None},
    ]


def test_only_its_share_is_compared_and_callers_stay_in_or_out(serving: Replica) -> None:
    serving.hold(1, shadow(share=0.3))
    serving.predict(100)
    split = Split(ROLLOUT)
    due = sum(split.takes(0.3, b"") for _ in range(100))
    assert abs(due - 30) <= 3
    assert compared(serving, due).requests == due
    serving.hold(1, shadow(share=0.3, rollout="r-2"))
    asked = ("POST", PATH, {"json": {"records": [RECORD]}, "headers": {CALLER_KEY: "somebody"}})
    serving.call_all([asked] * 10)
    active = serving.active
    expected = 10 if active.counts.split.takes(0.3, b"somebody") else 0
    until(lambda: active.counts.comparison.notes().requests == expected)


def test_a_shadow_that_raises_touches_no_answer(serving: Replica) -> None:
    def fail() -> None:
        raise RuntimeError("out of order")

    scores = serving.loads.scores[2] = Scores(fail)
    serving.hold(1, shadow())
    scores.loose = True
    assert serving.predict(20) == [1] * 20
    notes = compared(serving, 20)
    assert (notes.requests, notes.failed) == (0, 20)
    assert notes.failure == "RuntimeError: out of order"
    assert serving.notes().of(0, 1).failed == 0
    scores.loose = False
    serving.predict(1)
    assert compared(serving, 21).requests == 1


def test_a_shadow_that_hangs_touches_no_answer(
    serving: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.comparison.HANGS_S", 0.0)
    released = threading.Event()
    scores = serving.loads.scores[2] = Scores(released.wait)
    serving.hold(1, shadow(queue_requests=5))
    scores.loose = True
    assert serving.predict(50) == [1] * 50
    # As many wait as may, and the others are not compared; the first may not have been taken yet.
    until(lambda: serving.notes().shadow.skipped >= 44)
    until(lambda: "has been scored for more than" in serving.notes().shadow.failure)
    assert serving.notes().shadow.requests == 0
    # A rollout that ends does not wait for it either, nor does the next one.
    serving.hold(1)
    serving.hold(1, shadow(3, rollout="r-2"))
    serving.predict(2)
    until(lambda: serving.notes("r-2").shadow.requests == 2)
    released.set()
    until(lambda: serving.notes().shadow.requests == 1)
    until(lambda: serving.notes().shadow.skipped == 49)
    assert serving.notes().shadow.failure == ""


def test_requests_with_more_rows_than_may_wait_are_skipped(
    serving: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.shadow.MAX_WAITING_ROWS", 10)
    serving.hold(1, shadow())
    serving.call("POST", PATH, json={"records": [RECORD] * 11})
    serving.call("POST", PATH, json={"records": [RECORD] * 10})
    notes = compared(serving, 2)
    assert (notes.skipped, notes.rows) == (1, 10)


def test_the_file_has_what_was_compared(tmp_path: Path) -> None:
    with replica(tmp_path) as one:
        one.logs.note_rollouts(one.store)
        one.hold(1, shadow())
        one.predict(4)
        told = compared(one, 4)
    read = read_notes(tmp_path / "rollouts", ROLLOUT, examples=3)
    assert read.shadow == told
    assert {v: of.requests for v, of in read.steps[0].items()} == {1: 4}


def test_another_number_of_rows_is_a_failure_of_the_shadow(serving: Replica) -> None:
    class One:
        def __init__(self, scorer: Any) -> None:
            self.scorer = scorer

        def probabilities(self, columns: Any) -> Any:
            return self.scorer.probabilities(columns)[:1]

    serving.loads.scores[2] = One
    serving.hold(1, shadow())
    serving.call("POST", PATH, json={"records": [RECORD] * 3})
    notes = compared(serving, 1)
    assert (notes.failed, notes.rows) == (1, 0)
    assert "1 probabilities" in notes.failure


def test_the_worst_are_kept_over_many_requests() -> None:
    generator = np.random.default_rng(7)
    comparison = Comparison(examples=5)
    every: list[float] = []
    agreed = 0
    for number in range(40):
        given, other = generator.random((2, int(generator.integers(1, 9))))
        columns = {"x": np.arange(given.size, dtype=np.float64)}
        answered = Answered("titanic", f"{number:032x}", 0, 1, columns, given)
        comparison.add(answered, Side(given, 0.5, 0.001), Side(other, 0.4, 0.002))
        every += np.abs(other - given).tolist()
        agreed += int(((given >= 0.5) == (other >= 0.4)).sum())
    notes = comparison.notes()
    told = [abs(worst.shadow - worst.production) for worst in notes.worst]
    assert told == sorted(every, reverse=True)[:5]
    assert (notes.rows, notes.agreed) == (len(every), agreed)
    none = Comparison(examples=0)
    none.add(answered, Side(given, 0.5, 0.001), Side(1.0 - given, 0.5, 0.002))
    assert none.notes().worst == ()
