"""A home with real databases, MLflow and DVC is backed up while it is written to, and lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from core.adapters.database import Database
from core.adapters.database_batches import BatchRecords
from core.adapters.mlflow import RunTracker, connected_client
from core.backup.making import BackupService
from core.bootstrap_backup import connect_restore
from core.data.batch_files import batch_file, batches_folder
from core.data.tables import file_md5
from core.deployment.inference_log import InferenceLog, inference_folder
from core.promotion.audit import Action, Chosen
from core.settings import CODE_ROOT, Settings
from tests.contract.conftest import _mlflow_server
from tests.integration import backup_writer
from tests.unit.core_fakes import PROBLEM, make_trail

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
WRITER_TIMEOUT_S = 60
NAME = PROBLEM.name
#: Each is made at another moment of what is being written.
BACKUPS = 8


@contextmanager
def _writing(home: Path, url: str, stop: Path) -> Iterator[None]:
    """Somebody writes to the home; whatever becomes of the block, they end."""
    module = [sys.executable, "-m", backup_writer.__name__, str(home), url, str(stop)]
    writer = subprocess.Popen(module, cwd=CODE_ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield
        assert writer.poll() is None, "the writer has ended by itself"
    finally:
        stop.touch()
        try:
            _, said = writer.communicate(timeout=WRITER_TIMEOUT_S)
        finally:
            writer.kill()
    assert writer.returncode == 0, said


class Home:
    """What is in a home, read as the product reads it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.database = Database(f"sqlite:///{home / 'pilothouse.db'}")
        self.database.migrate()
        self.trail = make_trail(self.database, home)

    def close(self) -> None:
        self.database.close()

    def runs(self) -> list[str]:
        rows = self.trail.list(None, Chosen(action=Action.RUN_STARTED))
        return [row.entry.object.removeprefix("run ") for row in rows]

    def batches(self) -> dict[str, str]:
        """Id -> data version."""
        found = BatchRecords(self.database).list(NAME, 10_000)
        return {batch.id: batch.data_version for batch in found}

    def answers(self) -> list[int]:
        log = InferenceLog(inference_folder(self.home), {NAME: PROBLEM.contract})
        window = log.window(NAME)
        return [] if window is None else sorted(window["row_id"].to_pylist())


def _wait_for(what: Callable[[], bool], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def _restored(tmp_path: Path, file: Path) -> Home:
    """A home of its own, made of a backup; what can be said of every one is looked at."""
    settings = Settings(home=tmp_path / f"from-{file.name}")
    connect_restore(settings, file, "", "all was lost").restore(file, replace=False)
    home = Home(settings.home)
    assert home.trail.verify().is_whole
    assert home.trail.list(1)[0].entry.action == Action.BACKUP_RESTORED
    # What a row names is there, with the bytes that it names, and once on the disk.
    cache = batches_folder(home.home) / ".dvc" / "cache" / "files" / "md5"
    for batch_id, version in home.batches().items():
        stored, md5 = batch_file(home.home, NAME, batch_id), version.removeprefix("md5:")
        assert file_md5(stored) == md5
        assert (cache / md5[:2] / md5[2:]).stat().st_ino == stored.stat().st_ino
    # No answer is missing and none is there twice, though files were compacted meanwhile.
    answers = home.answers()
    assert answers == list(range(len(answers)))
    return home


def test_what_is_lost_is_back_and_fits_together(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    settings, files = Settings(home=tmp_path / "home"), []
    (settings.home / "mlflow").mkdir(parents=True)
    with _mlflow_server(settings.home / "mlflow") as url, closing(Home(settings.home)) as home:
        backups = BackupService(settings, home.trail)
        with _writing(settings.home, url, tmp_path / "stop"):
            _wait_for(lambda: len(home.runs()) > 3 and len(home.batches()) > 3)
            for number in range(BACKUPS):
                before = (set(home.runs()), home.batches(), len(home.answers()))
                files.append(tmp_path / f"{number}.tar.gz")
                began = time.monotonic()
                made = backups.create(files[-1], with_secrets=True, actor="operator")
                took_s = time.monotonic() - began
            after = (set(home.runs()), home.batches())
        assert home.trail.verify().is_whole
    shutil.rmtree(settings.home)

    for file in files[:-1]:
        _restored(tmp_path, file).close()
    with closing(_restored(tmp_path, files[-1])) as home:
        runs, batches = set(home.runs()), home.batches()
        # All from before it began, and nothing from after it was done.
        assert before[0] <= runs <= after[0]
        assert before[1].items() <= batches.items() <= after[1].items()
        assert before[2] <= len(home.answers())
        with _mlflow_server(home.home / "mlflow") as url:
            tracker = RunTracker(connected_client(url))
            for run_id in sorted(runs):
                read = tracker.read_file(run_id, "report/report.txt", tmp_path / "read")
                assert read == backup_writer.artifact_of(run_id)
            # Nothing that MLflow keeps knows where the home was.
            with closing(sqlite3.connect(home.home / "mlflow" / "mlflow.db")) as tracked:
                assert not [line for line in tracked.iterdump() if str(settings.home) in line]
            # And it goes on: new data is taken in, DVC knows it, MLflow takes a run.
            given = tmp_path / "new.csv"
            given.write_text("weight,stones,colour\n33,1,blue\n")
            again = backup_writer.batch_service(home.home, home.database)
            assert again.add(NAME, given, name="new.csv", actor="ann").is_new
            assert tracker.create(NAME, "a run", {})
        tell(
            f"{len(runs)} of {len(after[0])} runs, {len(batches)} of {len(after[1])} batches; "
            f"{made.files} files, {made.content_bytes / 2**20:.1f} MiB in "
            f"{made.archive_bytes / 2**20:.1f} MiB, {took_s:.1f} s while somebody wrote"
        )


def test_killed_it_leaves_what_the_next_one_removes(tmp_path: Path) -> None:
    settings, target = Settings(home=tmp_path / "home"), tmp_path / "target"
    with closing(Home(settings.home)) as home:
        artifacts = settings.home / "mlflow" / "artifacts"
        artifacts.mkdir(parents=True)
        for number in range(30):
            (artifacts / str(number)).write_bytes(os.urandom(4 << 20))
        command = [str(Path(sys.executable).with_name("pilothouse")), "backup", "create"]
        environment = {**os.environ, "PILOTHOUSE_HOME": str(settings.home)}
        environment["PYTHONPATH"] = str(CODE_ROOT)
        child = subprocess.Popen(
            [*command, "--to", str(target / "b.tar.gz")],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait_for(lambda: any(path.stat().st_size > 2**20 for path in target.rglob("archive")))
        child.kill()
        child.wait()
        (left,) = target.iterdir()
        assert left.name.startswith(".")
        os.utime(left, (1, 1))
        made = BackupService(settings, home.trail).create(
            target / "b.tar.gz", with_secrets=True, actor="operator"
        )
        assert list(target.iterdir()) == [made.file]
        assert home.trail.verify().is_whole
