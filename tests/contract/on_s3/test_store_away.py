"""A store that is not there: one sentence, in seconds, and nothing is lost."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from core.adapters.object_store import open_store
from core.data.labels import LabelLog
from core.data.segments import segments_in
from core.deployment.inference_log import InferenceLog, segments_folder
from core.errors import UnavailableError
from core.settings_store import S3Store
from tests.s3 import S3Server
from tests.unit.finished import finished_in
from tests.unit.test_core_inference_log import DAY, PLUMS, log_in, numbers_in, rows, write
from tests.unit.test_core_labels import given_labels

SECONDS = 20.0


@contextmanager
def _deaf() -> Iterator[str]:
    """Address of somebody who takes no connection: the queue is full."""
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            for one in waiting:
                one.close()


@contextmanager
def _nobody() -> Iterator[str]:
    """Address where nobody listens."""
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"


@pytest.mark.parametrize("away", [_nobody, _deaf])
def test_compaction_waits_for_a_store_that_is_away(tmp_path: Path, store: S3Store, away) -> None:
    write(tmp_path, rows([1, 2]))
    with away() as address:
        finished = open_store(replace(store, endpoint=address), tmp_path)
        log = InferenceLog(tmp_path, PLUMS, finished)
        began = time.monotonic()
        with pytest.raises(UnavailableError) as caught:
            log.compact()
        assert time.monotonic() - began < SECONDS
        assert caught.value.message.startswith("The files of the inference log in the S3 store")
        assert "\n" not in caught.value.message
        assert "PILOTHOUSE_STORE_URL" in caught.value.fix
        assert store.secret not in str(caught.value)
    assert len(segments_in(segments_folder(tmp_path, "plums"))) == 1
    assert (log_in(tmp_path).compact(), numbers_in(log_in(tmp_path))) == (1, [1, 2])


def test_everything_that_reads_says_so(tmp_path: Path, store: S3Store) -> None:
    with _nobody() as address:
        finished = open_store(replace(store, endpoint=address), tmp_path)
        log, labels = InferenceLog(tmp_path, PLUMS, finished), LabelLog(tmp_path, "", finished)
        for ask in (
            lambda: log.window("plums"),
            lambda: log.find("0" * 32),
            lambda: log.prune(DAY, 1),
            lambda: labels.labels("plums"),
            lambda: list(labels.row_ids_of("plums", "a")),
        ):
            with pytest.raises(UnavailableError, match="in the S3 store cannot be used"):
                ask()
        # Replicas write to the home.
        labels.append("plums", given_labels(("a", 1, 1.0)), by="http")
        labels.close()
    assert LabelLog(tmp_path, "", finished_in(tmp_path)).labels("plums").num_rows == 1


def test_a_bucket_that_is_missing_keeps_the_segments(tmp_path: Path, store: S3Store) -> None:
    write(tmp_path, rows([1]))
    finished = open_store(replace(store, bucket="another"), tmp_path)
    with pytest.raises(UnavailableError, match="S3 store"):
        InferenceLog(tmp_path, PLUMS, finished).compact()
    assert len(segments_in(segments_folder(tmp_path, "plums"))) == 1


def test_a_bucket_that_has_gone_is_no_empty_log(tmp_path: Path, store: S3Store) -> None:
    finished = open_store(replace(store, bucket="another"), tmp_path)
    log, labels = InferenceLog(tmp_path, PLUMS, finished), LabelLog(tmp_path, "", finished)
    for ask in (
        lambda: log.window("plums"),
        lambda: log.find("0" * 32),
        lambda: log.prune(DAY, 1),
        lambda: labels.labels("plums"),
    ):
        with pytest.raises(UnavailableError, match="there is no bucket another"):
            ask()


def test_rows_that_were_written_elsewhere_are_not_taken_for_moved(
    tmp_path: Path, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies before it publishes, and is started again with another store."""
    write(tmp_path, rows([1, 2]))
    here = open_store(store, tmp_path)

    def die(*_: object) -> None:
        raise UnavailableError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("core.data.day_files.DayFiles.move", die)
        with pytest.raises(UnavailableError, match="killed"):
            InferenceLog(tmp_path, PLUMS, here).compact()
    elsewhere = open_store(replace(store, prefix="elsewhere"), tmp_path)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="are not where they were written"):
            InferenceLog(tmp_path, PLUMS, elsewhere).compact()
    assert len(segments_in(segments_folder(tmp_path, "plums"))) == 1
    InferenceLog(tmp_path, PLUMS, here).compact()
    assert numbers_in(InferenceLog(tmp_path, PLUMS, here)) == [1, 2]


def test_what_somebody_put_beside_the_days_is_left_alone(
    s3: S3Server, tmp_path: Path, store: S3Store
) -> None:
    store = replace(store, prefix="shared")
    write(tmp_path, rows([1]))
    log = InferenceLog(tmp_path, PLUMS, open_store(store, tmp_path))
    log.compact()
    (key,) = (name for name in s3.keys(store) if name.endswith(".parquet"))
    day = PurePosixPath(store.prefix, key).parent
    for other in (day / "v-1 (copy).parquet", day.parent / "backup" / "v-1.parquet"):
        s3.client().put_object(Bucket=store.bucket, Key=str(other), Body=b"?")
    assert numbers_in(log) == [1]
    assert log.prune(DAY, 1) == 0


def test_a_new_home_finds_what_the_store_has(tmp_path: Path) -> None:
    """The home was lost: what it had not finished is gone, the rest is there."""
    write(tmp_path / "old", rows([1, 2]))
    finished = finished_in(tmp_path)
    assert InferenceLog(tmp_path / "old", PLUMS, finished).compact() == 1
    new = InferenceLog(tmp_path / "new", PLUMS, finished)
    assert numbers_in(new) == [1, 2]
    found = new.find(f"{2:032x}")
    assert found is not None
    assert found.rows["weight"].to_pylist() == [2.0]
    write(tmp_path / "new", rows([3]))
    assert new.compact() == 1
    assert numbers_in(new) == [1, 2, 3]
    assert new.prune(DAY.replace(year=DAY.year + 1), 1) == 1
    assert numbers_in(new) == []
