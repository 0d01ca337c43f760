"""Segments: what is whole is read, whatever happened to the rest."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from core.data.segments import (
    SegmentLimits,
    SegmentWriter,
    is_live,
    read_segment,
    remove_unborn,
    segments_in,
)

LARGE = SegmentLimits(max_bytes=1 << 20, max_age_s=60.0)


def batch_of(*values: float, **more: list[str]) -> pa.RecordBatch:
    return pa.record_batch({"x": pa.array(values, pa.float64()), **more})


def values_in(folder: Path) -> list[float]:
    tables = [read_segment(segment).table for segment in segments_in(folder)]
    return [value for table in tables if table for value in table["x"].to_pylist()]


def test_a_segment_is_read_while_it_is_written(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "new" / "folder", "r1", LARGE)
    writer.append(batch_of(1, 2))
    (segment,) = segments_in(tmp_path / "new" / "folder")
    assert is_live(segment)
    writer.append(batch_of(3), durable=True)
    assert values_in(segment.parent) == [1, 2, 3]
    writer.close()
    assert not is_live(segment)
    assert values_in(segment.parent) == [1, 2, 3]


def test_a_disk_that_refuses_at_the_end_costs_nobody_elses_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SegmentWriter(tmp_path, "r1", LARGE)
    writer.append(batch_of(1))
    closed: list[int] = []
    really = os.close

    def refuse(file: int) -> None:
        closed.append(file)
        really(file)
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with monkeypatch.context() as patched:
        patched.setattr(os, "close", refuse)
        with pytest.raises(OSError, match="quota"):
            writer.close()
    # Another file gets the number.
    other = os.open(tmp_path / "other", os.O_CREAT | os.O_WRONLY)
    assert [other] == closed
    writer.append(batch_of(2))
    writer.close()
    os.write(other, b"still mine")
    really(other)
    assert sorted(values_in(tmp_path)) == [1, 2]


def test_the_format_is_arrows_own(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "r1", LARGE)
    writer.append(batch_of(1))
    writer.append(batch_of(2, 3))
    (segment,) = segments_in(tmp_path)
    with pa.ipc.open_stream(segment.read_bytes()) as stream:
        assert stream.read_all()["x"].to_pylist() == [1, 2, 3]


def test_a_torn_end_is_left_out_wherever_it_is_torn(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "a", "r1", LARGE)
    ends = []
    for batch in (batch_of(1), batch_of(2, 3), batch_of(4)):
        writer.append(batch)
        (segment,) = segments_in(tmp_path / "a")
        ends.append(segment.stat().st_size)
    content = segment.read_bytes()
    header = len(batch_of().schema.serialize())
    rows_at = dict(zip(ends, (1, 3, 4), strict=True))
    torn = tmp_path / "torn.arrow"
    for size in range(len(content) + 1):
        torn.write_bytes(content[:size])
        found = read_segment(torn)
        whole = max((end for end in ends if end <= size), default=0)
        assert (found.table.num_rows if found.table else 0) == rows_at.get(whole, 0)
        assert (found.torn_bytes > 0) == (size not in (0, header, *ends))


def test_segments_are_rotated_by_size_age_and_schema(tmp_path: Path) -> None:
    two = SegmentWriter(tmp_path / "two", "r1", LARGE)
    two.append(batch_of(0))
    two.append(batch_of(1))
    (segment,) = segments_in(tmp_path / "two")
    now = 0.0
    limits = SegmentLimits(segment.stat().st_size, 60.0)
    writer = SegmentWriter(tmp_path, "r1", limits, lambda: now)
    for value in range(4):
        writer.append(batch_of(value))
    assert len(segments_in(tmp_path)) == 2
    now = 61.0
    writer.close_if_due()
    assert not any(is_live(segment) for segment in segments_in(tmp_path))
    writer.append(batch_of(4))
    writer.append(pa.record_batch({"x": pa.array([5.0]), "y": pa.array(["new"])}))
    assert len(segments_in(tmp_path)) == 4
    assert values_in(tmp_path) == [0, 1, 2, 3, 4, 5]


def test_a_batch_larger_than_a_segment_is_kept(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "r1", SegmentLimits(10, 60.0))
    writer.append(batch_of(*range(1000)))
    writer.append(batch_of(1))
    assert len(values_in(tmp_path)) == 1001


def test_a_folder_that_vanishes_is_made_again(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "log", "r1", LARGE)
    writer.append(batch_of(1))
    for segment in segments_in(tmp_path / "log"):
        segment.unlink()
    (tmp_path / "log").rmdir()
    writer.append(batch_of(2))
    assert values_in(tmp_path / "log") == [2]


@pytest.mark.parametrize("after_bytes", [0, 1, 100, 150])
def test_a_full_disk_leaves_whole_batches_and_writing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_bytes: int
) -> None:
    writer = SegmentWriter(tmp_path, "r1", LARGE)
    writer.append(batch_of(1))
    write, room = os.write, after_bytes

    def full(file: int, data: memoryview) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = write(file, data[:room])
        room -= taken
        return taken

    monkeypatch.setattr(os, "write", full)
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            writer.append(batch_of(2, 3))
    assert values_in(tmp_path) == [1]
    monkeypatch.undo()
    writer.append(batch_of(2, 3))
    assert values_in(tmp_path) == [1, 2, 3]
    assert all(read_segment(segment).torn_bytes == 0 for segment in segments_in(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_killed_writer_leaves_what_it_wrote_and_no_lock(tmp_path: Path) -> None:
    code = """
import sys, pathlib, pyarrow as pa
from core.data.segments import SegmentLimits, SegmentWriter
writer = SegmentWriter(pathlib.Path(sys.argv[1]), "r1", SegmentLimits(1 << 20, 60.0))
writer.append(pa.record_batch({"x": pa.array([1.0, 2.0])}))
print("written", flush=True)
sys.stdin.read()
"""
    argv = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        (segment,) = segments_in(tmp_path)
        assert is_live(segment)
        writer.send_signal(signal.SIGKILL)
    assert not is_live(segment)
    assert values_in(tmp_path) == [1, 2]


def test_what_was_never_a_segment_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".new-x.arrow").write_bytes(b"")
    assert segments_in(tmp_path) == ()
    remove_unborn(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not is_live(tmp_path / "gone.arrow")
