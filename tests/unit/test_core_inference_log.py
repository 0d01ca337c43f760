"""The inference log: every row once, whenever compaction was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.day_files import DayFiles
from core.data.log_tables import AT_TYPE, Span
from core.data.segments import SegmentLimits, SegmentWriter, segments_in
from core.deployment.inference_log import InferenceLog, row_schema, segments_folder
from core.deployment.request_ids import new_request_id
from core.problems.contract import Contract, Field, FieldType, Label
from tests.unit.core_fakes import PROBLEM
from tests.unit.finished import finished_in, names_in, paths_in

DAY = datetime(2026, 11, 20, 12, tzinfo=UTC)
LARGE = SegmentLimits(max_bytes=1 << 20, max_age_s=1e9)
PLUMS = {"plums": PROBLEM.contract}
SCHEMA = row_schema({"weight": pa.float64(), "stones": pa.float64(), "colour": pa.string()})


def rows(numbers: list[int], *, days: int = 0, version: int = 1) -> pa.RecordBatch:
    """One row a number, a second apart."""
    count = len(numbers)
    at = [DAY + timedelta(days=days, seconds=number) for number in numbers]
    return pa.record_batch(
        [
            pa.array([f"{number:032x}" for number in numbers]),
            pa.array([0] * count, pa.int64()),
            pa.array(at, AT_TYPE),
            pa.array([version] * count, pa.int64()),
            pa.array([float(number) for number in numbers]),
            pa.array([None] * count, pa.float64()),
            pa.array(["blue"] * count),
            pa.array([0.5] * count),
        ],
        schema=SCHEMA,
    )


def log_in(folder: Path, contracts: Mapping[str, Contract] | None = None) -> InferenceLog:
    return InferenceLog(folder, contracts, finished_in(folder))


def write(folder: Path, *batches: pa.RecordBatch, close: bool = True) -> SegmentWriter:
    writer = SegmentWriter(segments_folder(folder, "plums"), os.urandom(4).hex(), LARGE)
    for batch in batches:
        writer.append(batch)
    if close:
        writer.close()
    return writer


def numbers_in(log: InferenceLog, **asked: Any) -> list[int]:
    return [int(value) for value in log.window("plums", **asked)["weight"].to_pylist()]


def test_live_segments_and_compacted_files_are_one_log(tmp_path: Path) -> None:
    log = log_in(tmp_path, PLUMS)
    write(tmp_path, rows([2, 0]), rows([1], version=2))
    live = write(tmp_path, rows([3, 4]), close=False)
    assert numbers_in(log) == [0, 1, 2, 3, 4]
    assert log.compact() == 1
    assert len(segments_in(segments_folder(tmp_path, "plums"))) == 1
    assert names_in(tmp_path) == ["v1-1.parquet", "v2-1.parquet"]
    assert numbers_in(log) == [0, 1, 2, 3, 4]
    live.close()
    assert log.compact() == 1
    assert names_in(tmp_path) == ["v1-2.parquet", "v2-1.parquet"]
    table = log.window("plums")
    assert table.schema.equals(SCHEMA)
    assert table["weight"].to_pylist() == [0, 1, 2, 3, 4]
    assert table["version"].to_pylist() == [1, 2, 1, 1, 1]
    assert table["stones"].null_count == 5
    assert log.compact() == 0


def test_a_window_is_by_time_or_by_number(tmp_path: Path) -> None:
    log = log_in(tmp_path, PLUMS)
    for day in range(4):
        write(tmp_path, rows(list(range(10 * day, 10 * day + 10)), days=day))
    assert log.compact() == 4
    write(tmp_path, rows([40, 41], days=4))
    everything = list(range(42))
    assert numbers_in(log) == everything
    assert numbers_in(log, last_rows=5) == [37, 38, 39, 40, 41]
    assert numbers_in(log, last_rows=1) == [41]
    assert numbers_in(log, last_rows=1000) == everything
    since = DAY + timedelta(days=2, seconds=25)
    assert numbers_in(log, since=since) == everything[25:]
    assert numbers_in(log, since=since, last_rows=3) == [39, 40, 41]
    assert numbers_in(log, since=DAY + timedelta(days=9)) == []
    keys = log.window("plums", columns=("request_id", "row_id"))
    assert keys.column_names == ["request_id", "row_id"]
    assert keys.num_rows == 42


def test_the_last_rows_are_the_latest_although_an_older_segment_is_not_compacted(
    tmp_path: Path,
) -> None:
    log = log_in(tmp_path, PLUMS)
    write(tmp_path, rows([10, 11], days=1))
    log.compact()
    write(tmp_path, rows([1, 2, 3]))
    assert numbers_in(log, last_rows=1) == [11]
    assert numbers_in(log, last_rows=3) == [3, 10, 11]


def test_nothing_logged_is_an_empty_window(tmp_path: Path) -> None:
    log = log_in(tmp_path / "none", PLUMS)
    assert log.window("plums").schema.equals(SCHEMA)
    assert log.window("plums").num_rows == 0
    assert log_in(tmp_path / "none").window("pears").num_rows == 0
    assert (log.compact(), log.prune(DAY, 1)) == (0, 0)


def test_columns_of_another_contract_do_not_break_reading(tmp_path: Path) -> None:
    write(tmp_path, rows([1]))
    renamed = rows([2]).rename_columns([n.replace("stones", "pits") for n in SCHEMA.names])
    texts = rows([3]).set_column(4, "weight", pa.array(["heavy"]))
    fields = (
        Field("weight", FieldType.CATEGORY, "W", "x"),
        Field("pits", FieldType.NUMBER, "P", 1),
    )
    new = Contract(fields=fields, label=Label("taste", "sweet", "sour", "sweet", "sour"))
    for step in (lambda: None, log_in(tmp_path).compact):
        write(tmp_path, renamed)
        write(tmp_path, texts)
        step()
        old = log_in(tmp_path, PLUMS).window("plums")
        assert old.schema.equals(SCHEMA)
        assert set(old["weight"].to_pylist()) <= {1.0, 2.0, None}
        found = log_in(tmp_path, {"plums": new}).window("plums")
        assert found.column_names[4:-1] == ["weight", "pits"]
        assert "heavy" in found["weight"].to_pylist()
        assert found.num_rows == old.num_rows
    bare = log_in(tmp_path).window("plums")
    assert {"weight", "stones", "pits", "colour"} < set(bare.column_names)


def test_old_days_are_pruned(tmp_path: Path) -> None:
    log = log_in(tmp_path, PLUMS)
    for day in range(4):
        write(tmp_path, rows([day], days=day))
    log.compact()
    now = DAY + timedelta(days=92)
    assert log.prune(now, 90) == 2
    assert numbers_in(log) == [2, 3]
    assert log.prune(now, 90) == 0
    assert [path.split("/")[2] for path in paths_in(tmp_path)] == ["2026-11-22", "2026-11-23"]


def test_a_torn_segment_of_a_dead_replica_is_compacted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, rows([1]), rows([2]))
    (segment,) = segments_in(segments_folder(tmp_path, "plums"))
    segment.write_bytes(segment.read_bytes()[:-7])
    log = log_in(tmp_path, PLUMS)
    assert (numbers_in(log), log.compact(), numbers_in(log)) == ([1], 1, [1])
    assert "bytes that are no rows" in caplog.text


def test_compaction_waits_for_readers(tmp_path: Path) -> None:
    write(tmp_path, rows([1]))
    log = log_in(tmp_path, PLUMS)
    assert numbers_in(log) == [1]
    with (tmp_path / "plums" / "lock").open("r+") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        assert (log.compact(), log.prune(DAY, 1)) == (0, 0)
        assert numbers_in(log) == [1]
    assert log.compact() == 1


class Killed(BaseException):
    """The process ends here."""


class Killer:
    """Ends compaction at the n-th change of the file system."""

    def __init__(self, survives: int) -> None:
        self._left = survives

    def __call__(self, done: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            if self._left == 0:
                raise Killed
            self._left -= 1
            return done(*args, **kwargs)

        return step


def compact_until_killed(log: InferenceLog, survives: int) -> None:
    kill = Killer(survives)

    def move(daily: DayFiles, name: str, to: str) -> None:
        """As a store does it, in two steps."""
        for step in (daily._files.copy_file, lambda old, _: daily._files.delete_file(old)):
            kill(step)(daily._path(name), daily._path(to))

    with (
        patch.object(Path, "rename", kill(Path.rename)),
        patch.object(Path, "unlink", kill(Path.unlink)),
        patch.object(pq, "write_table", kill(pq.write_table)),
        patch.object(DayFiles, "move", move),
        patch.object(DayFiles, "remove", kill(DayFiles.remove)),
        contextlib.suppress(Killed),
    ):
        log.compact()


@pytest.mark.parametrize("survives", range(13))
def test_a_file_that_takes_in_another_is_read_once(tmp_path: Path, survives: int) -> None:
    log = log_in(tmp_path, PLUMS)
    write(tmp_path, rows([0, 1]))
    log.compact()
    write(tmp_path, rows([2]), rows([3], version=2))
    compact_until_killed(log, survives)
    assert numbers_in(log) == [0, 1, 2, 3]
    log.compact()
    assert numbers_in(log) == [0, 1, 2, 3]
    assert names_in(tmp_path) == ["v1-2.parquet", "v2-1.parquet"]


@settings(max_examples=30, deadline=None)
@given(
    segments=st.lists(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 2)), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    ),
    kills=st.lists(st.integers(0, 20), max_size=4),
    reads_between=st.booleans(),
)
def test_compaction_neither_loses_nor_doubles_rows(
    tmp_path_factory: pytest.TempPathFactory,
    segments: list[list[tuple[int, int]]],
    kills: list[int],
    reads_between: bool,
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = log_in(folder, PLUMS)
    number = 0
    for index, batches in enumerate(segments):
        made = []
        for day, version in batches:
            made.append(rows([number, number + 1], days=day, version=version))
            number += 2
        write(folder, *made)
        compact_until_killed(log, kills[index] if index < len(kills) else 10_000)
        if reads_between:
            assert sorted(numbers_in(log)) == list(range(number))
            assert numbers_in(log, last_rows=1) == numbers_in(log)[-1:]
    log.compact()
    assert sorted(numbers_in(log)) == list(range(number))
    assert segments_in(segments_folder(folder, "plums")) == ()
    left = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {name for name in left if not name.endswith(".parquet")} == {"lock"}
    assert not any(name.startswith(".") for name in names_in(folder))
    for path in paths_in(folder):
        _, _, day, name = path.split("/")
        table = pq.read_table(path, filesystem=finished_in(folder), partitioning=None)
        assert set(table["version"].to_pylist()) == {int(name[1:].split("-")[0])}
        assert {str(at.date()) for at in table["at"].to_pylist()} == {day}


def asked(
    number: int, at: datetime, *, problem_rows: int = 2, request_id: str = ""
) -> pa.RecordBatch:
    """A request of some records, as a replica would log it."""
    at_us = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    table = rows([number] * problem_rows).to_pydict()
    table["request_id"] = [request_id or new_request_id(at_us)] * problem_rows
    table["row_id"] = list(range(problem_rows))
    table["at"] = [at] * problem_rows
    return pa.record_batch(table, schema=SCHEMA)


@pytest.mark.parametrize("old", [False, True], ids=["telling its time", "random"])
def test_a_request_is_found_by_its_id_wherever_it_lies(tmp_path: Path, *, old: bool) -> None:
    log = log_in(tmp_path, PLUMS)
    random = "0123456789ab4cdef0123456789abcde" if old else ""
    wanted = asked(7, DAY + timedelta(days=1), problem_rows=3, request_id=random)
    request_id = wanted["request_id"][0].as_py()
    # Neighbours of the same millisecond, and another problem's folder before it.
    near = asked(8, DAY + timedelta(days=1, microseconds=999))
    other = SegmentWriter(segments_folder(tmp_path, "apples"), "x", LARGE)
    other.append(near)
    other.close()
    assert log.find(request_id) is None
    writer = write(
        tmp_path, asked(1, DAY), asked(2, DAY + timedelta(days=2)), wanted, near, close=False
    )
    for finish in (lambda: None, writer.close, log.compact):
        finish()
        found = log.find(request_id)
        assert found is not None
        assert found.problem == "plums"
        assert found.rows["row_id"].to_pylist() == [0, 1, 2]
        assert found.rows["weight"].to_pylist() == [7.0] * 3
    assert log.find(new_request_id(0)) is None
    log.prune(DAY + timedelta(days=30), 1)
    assert log.find(request_id) is None


def test_no_day_is_read_but_that_of_the_request(tmp_path: Path) -> None:
    log = log_in(tmp_path, PLUMS)
    wanted = asked(5, DAY + timedelta(days=2))
    write(tmp_path, *(asked(day, DAY + timedelta(days=day, minutes=1)) for day in range(5)), wanted)
    log.compact()
    for path in paths_in(tmp_path):
        if f"/{DAY + timedelta(days=2):%Y-%m-%d}/" not in path:
            with finished_in(tmp_path).open_output_stream(path) as file:
                file.write(b"whoever reads this fails")
    found = log.find(wanted["request_id"][0].as_py())
    assert found is not None
    assert found.rows["weight"].to_pylist() == [5.0, 5.0]


def test_a_finished_day_is_on_the_disk_before_its_segment_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync

    def spy(file: int) -> None:
        synced.append(os.fstat(file).st_ino)
        sync(file)

    write(tmp_path, rows([1]))
    monkeypatch.setattr(os, "fsync", spy)
    assert InferenceLog(tmp_path).compact() == 1
    (day,) = tmp_path.rglob("*.parquet")
    assert synced[0] == day.stat().st_ino
    assert len(synced) == 2


@pytest.mark.parametrize("group", [1, 3, 100])
def test_groups_of_rows_outside_a_span_are_left_out(tmp_path: Path, group: int) -> None:
    files, file = DayFiles(finished_in(tmp_path), "daily"), "2026-11-20/rows.parquet"
    with patch("core.data.day_files.GROUP_ROWS", group):
        files.write(file, pa.table(rows(list(range(10)))))
    every = {
        number: files.read(file, None, Span(since=at(number), until=at(number + 1)))
        for number in range(10)
    }
    assert all(number in table["weight"].to_pylist() for number, table in every.items())
    assert [table.num_rows for table in every.values()][:9] == [min(group, 10)] * 9
    assert files.read(file, None, Span(until=at(0))).num_rows == 0
    assert files.read(file, None, Span(since=at(10))).num_rows == 0
    assert files.read(file, {"weight"}).num_rows == 10


def at(number: int) -> datetime:
    return DAY + timedelta(seconds=number)
