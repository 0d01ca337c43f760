"""What runs were trained on: known data costs nothing, and no run is lost by it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from core.data.tables import file_md5
from core.data.training_data import TrainingDataStore
from core.errors import UnavailableError
from tests.unit.core_fakes import FakeVersions


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "raw.parquet"
    path.write_bytes(b"plums")
    return path


def test_known_data_is_not_added_again(rows: Path, tmp_path: Path) -> None:
    versions = FakeVersions()
    store = TrainingDataStore(tmp_path, versions)
    kept = store.keep("plums", rows)
    assert versions.tracked == {tmp_path / kept: file_md5(rows)}
    versions.plug.pulled = True
    assert store.keep("plums", rows) == kept
    # What a process left that died before DVC knew of it is added by the next.
    versions.tracked.clear()
    with pytest.raises(UnavailableError):
        store.keep("plums", rows)


def test_a_failure_loses_no_run(
    rows: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    versions = FakeVersions()
    versions.plug.pulled = True
    store = TrainingDataStore(tmp_path, versions)
    assert store.try_to_keep("plums", rows) == ""
    assert store.try_to_keep("plums", tmp_path / "none") == ""
    assert caplog.text.count("DVC has no copy of the training data") == 2
    assert not [*tmp_path.rglob(".*.parquet.*")]


def test_copies_that_a_killed_process_left_are_removed(rows: Path, tmp_path: Path) -> None:
    folder = tmp_path / "training-data" / "plums"
    folder.mkdir(parents=True)
    old, new = (folder / f".{name}.parquet.{name}" for name in ("old", "new"))
    for one in (old, new):
        one.write_bytes(b"half")
    two_days_ago = time.time() - 2 * 86_400
    os.utime(old, (two_days_ago, two_days_ago))
    TrainingDataStore(tmp_path, FakeVersions()).keep("plums", rows)
    assert not old.exists()
    # Another run may be at it.
    assert new.exists()
