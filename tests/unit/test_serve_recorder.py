"""The recorder: the answer goes out first, and what is lost is counted."""

from __future__ import annotations

import errno
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.segments import SegmentWriter
from core.deployment.endpoint import InferenceLogConfig
from core.deployment.inference_log import InferenceLog, segments_folder
from core.params_inference import InferenceLogParams
from core.scoring.bundle import BundleRef
from serve.predictor import LoadedModel
from serve.recorder import Answered, Recorder, rows_of
from serve.store import ModelStore
from tests.serving_support import (
    INFERENCE_LOG,
    RECORD,
    TITANIC,
    artifact_server,
    expected_probability,
    user_config,
    write_tiny_bundle,
)

WAIT_S = 5.0
CONTRACTS = {"titanic": TITANIC.contract}
Lost = Counter[str]


@pytest.fixture
def lost() -> Lost:
    return Counter()


@pytest.fixture
def recorder(lost: Lost) -> Iterator[Recorder]:
    def count(problem: str, rows: int) -> None:
        lost[problem] += rows

    made = Recorder("r1", count)
    yield made
    made.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("model")
    write_tiny_bundle(folder / "artifacts" / "7")
    store = ModelStore()
    with artifact_server(folder / "artifacts") as url:
        ref = BundleRef(problem="titanic", version=7, url=f"{url}/7")
        store.apply(user_config(folder / "cache", titanic=ref))
    return store.snapshot.model("titanic")


def config(folder: Path, **changed: Any) -> InferenceLogConfig:
    log = InferenceLogParams(**{**INFERENCE_LOG.model_dump(), "flush_s": 0.02, **changed})
    return InferenceLogConfig(folder=folder, log=log)


def answered(rows: int, problem: str = "titanic") -> Answered:
    columns = {"Age": np.arange(rows, dtype=np.float64), "Sex": np.array(["male"] * rows, object)}
    return Answered(problem, "0" * 32, 1_700_000_000_000_000, 1, columns, np.full(rows, 0.5))


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_prediction_is_logged_as_it_was_answered(
    model: LoadedModel, recorder: Recorder, tmp_path: Path
) -> None:
    recorder.configure(config(tmp_path))
    started = datetime.now(UTC)
    secret = {"Name": "Quetzalcoatl, Master. Xerxes", "PassengerId": 987654, "boat": "B12"}
    body = json.dumps({"records": [RECORD, {**RECORD, **secret, "Age": None}]}).encode()
    first = json.loads(model.answer(body, recorder.record))
    second = json.loads(model.answer(body, recorder.record))
    until(lambda: recorder.state.written_rows == 4)
    table = InferenceLog(tmp_path, CONTRACTS).window("titanic")
    own = ["request_id", "row_id", "at", "version"]
    assert table.column_names == [*own, *TITANIC.contract.names, "probability"]
    assert table["request_id"].to_pylist() == [first["request_id"]] * 2 + [second["request_id"]] * 2
    assert table["row_id"].to_pylist() == [0, 1, 0, 1]
    assert set(table["version"].to_pylist()) == {7}
    latest = started + timedelta(seconds=WAIT_S)
    assert all(started <= at <= latest for at in table["at"].to_pylist())
    assert table["Age"].to_pylist() == [22.0, None, 22.0, None]
    assert table["Title"].to_pylist() == [None, "Master"] * 2
    assert table["Pclass"].to_pylist() == [3.0] * 4
    assert table["probability"][0].as_py() == pytest.approx(expected_probability(RECORD), abs=1e-6)
    (segment,) = segments_folder(tmp_path, "titanic").iterdir()
    for word in (b"Quetzal", b"Xerxes", b"987654", b"B12"):
        assert word not in segment.read_bytes()


def test_nothing_is_kept_before_the_place_is_known_or_when_switched_off(
    recorder: Recorder, tmp_path: Path
) -> None:
    recorder.record(answered(3))
    recorder.configure(config(tmp_path, enabled=False))
    recorder.record(answered(3))
    recorder.configure(config(tmp_path))
    recorder.record(answered(2))
    until(lambda: recorder.state.written_rows == 2)
    assert recorder.state.lost_rows == 0
    assert InferenceLog(tmp_path).window("titanic").num_rows == 2


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    recorder = Recorder("r1", lambda problem, rows: None)
    recorder.configure(config(tmp_path, flush_s=60))
    for _ in range(5):
        recorder.record(answered(2))
    recorder.close()
    assert InferenceLog(tmp_path).window("titanic").num_rows == 10
    assert InferenceLog(tmp_path).compact() == 1
    recorder.record(answered(1))
    assert recorder.state.lost_rows == 1


def test_a_full_queue_loses_rows_and_counts_them(
    recorder: Recorder, lost: Lost, tmp_path: Path
) -> None:
    (tmp_path / "blocked").write_text("a file where a folder should be")
    recorder.configure(config(tmp_path / "blocked", queue_rows=10))
    recorder.record(answered(6))
    recorder.record(answered(6, "pears"))
    recorder.record(answered(4))
    recorder.record(answered(1))
    assert lost == {"pears": 6, "titanic": 1}
    assert (recorder.state.waiting_rows, recorder.state.lost_rows) == (10, 7)
    until(lambda: recorder.state.failure != "")
    (tmp_path / "blocked").unlink()
    until(lambda: recorder.state.written_rows == 10)
    recorder.record(answered(1))
    until(lambda: recorder.state.written_rows == 11)
    assert recorder.state.failure == ""
    assert InferenceLog(tmp_path / "blocked").window("titanic").num_rows == 11


def test_a_full_disk_is_told_and_writing_is_tried_again(
    recorder: Recorder, lost: Lost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.configure(config(tmp_path))
    recorder.record(answered(1))
    until(lambda: recorder.state.written_rows == 1)

    def full(file: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        recorder.record(answered(2))
        until(lambda: recorder.state.failure == "No space left on device")
        assert recorder.state.waiting_rows == 2
    until(lambda: recorder.state.written_rows == 3)
    assert (recorder.state.failure, lost) == ("", {})
    assert InferenceLog(tmp_path).window("titanic").num_rows == 3


def test_a_segment_that_the_disk_refuses_at_its_end_does_not_stop_the_next(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.configure(config(tmp_path))
    recorder.record(answered(1))
    until(lambda: recorder.state.written_rows == 1)

    def refuse(writer: SegmentWriter) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with monkeypatch.context() as patched:
        patched.setattr(SegmentWriter, "close_if_due", refuse)
        recorder.record(answered(2))
        until(lambda: "quota" in recorder.state.failure)
    recorder.record(answered(3))
    until(lambda: recorder.state.written_rows == 6)
    assert recorder.state.failure == ""


def test_one_problem_that_cannot_be_written_does_not_stop_another(
    recorder: Recorder, tmp_path: Path
) -> None:
    (tmp_path / "pears").write_text("a file where a folder should be")
    recorder.configure(config(tmp_path))
    recorder.record(answered(2, "pears"))
    recorder.record(answered(3))
    until(lambda: recorder.state.written_rows == 3)
    assert recorder.state.waiting_rows == 2


def test_what_cannot_be_a_row_is_dropped_and_counted(
    recorder: Recorder, lost: Lost, tmp_path: Path
) -> None:
    recorder.configure(config(tmp_path))
    odd = {"Age": np.array([{}, 1], dtype=object)}
    recorder.record(Answered("titanic", "id", 0, 1, odd, np.full(2, 0.5)))
    until(lambda: lost["titanic"] == 2)
    recorder.record(answered(1))
    until(lambda: recorder.state.written_rows == 1)
    assert recorder.state.waiting_rows == 0


def test_a_failing_disk_is_not_asked_more_often_than_a_whole_one(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def fail(self: SegmentWriter, batch: Any) -> None:
        nonlocal asked
        asked += 1
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(SegmentWriter, "append", fail)
    recorder.configure(config(tmp_path, flush_s=0.1, queue_rows=10))
    recorder.record(answered(9))
    until(lambda: recorder.state.failure == "broken")
    ended = time.monotonic() + 0.5
    while time.monotonic() < ended:
        recorder.record(answered(0))
    assert asked <= 8


def test_new_parameters_reach_a_running_recorder(recorder: Recorder, tmp_path: Path) -> None:
    recorder.configure(config(tmp_path / "one"))
    recorder.record(answered(1))
    until(lambda: recorder.state.written_rows == 1)
    recorder.configure(config(tmp_path / "two"))
    recorder.record(answered(2))
    until(lambda: recorder.state.written_rows == 3)
    assert InferenceLog(tmp_path / "two").window("titanic").num_rows == 2
    assert InferenceLog(tmp_path / "one").compact() == 1


def test_rows_keep_the_order_of_requests_and_records() -> None:
    batch = rows_of([answered(2), answered(3)])
    assert batch["row_id"].to_pylist() == [0, 1, 0, 1, 2]
    assert batch["Age"].to_pylist() == [0, 1, 0, 1, 2]
    assert batch["at"].to_pylist() == [datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)] * 5
