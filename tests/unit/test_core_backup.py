"""Backups of a home with real databases, logs and data versions; and the way back."""

from __future__ import annotations

import gzip
import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import SecretStr

from core import bootstrap_backup
from core.access.roles import Role
from core.adapters import database_copy
from core.adapters.database import Database
from core.adapters.database_copy import (
    artifacts_elsewhere,
    copy_sqlite,
    known_revisions,
    revision_of,
    sqlite_file,
)
from core.backup import archive, making, restoring, swap
from core.backup.archive_reading import OnlyLook, read_archive
from core.backup.making import BackupService, Made
from core.backup.restoring import Restored
from core.bootstrap import connect
from core.bootstrap_backup import connect_restore
from core.data.segments import SegmentLimits, SegmentWriter
from core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    RefusedError,
    SetupError,
    UnavailableError,
)
from core.promotion.audit import Action
from core.services.alone import alone, complete_interrupted
from core.services.layout import layout_of
from core.settings import Settings
from tests.unit.core_fakes import World, make_trail, make_world

FILES = {
    "mlflow/artifacts/1/models/m-1/artifacts/model.onnx": b"model" * 10_000,
    "batches/plums/0a.parquet": b"rows" * 10,
    "batches/plums/0a.parquet.dvc": b"outs:",
    "batches/.dvc/config": b"[core]",
    "labels/plums/daily/2026-11-22/labels-1.parquet": b"labels",
    "rollouts/0a/replica.json": b"{}",
    "runs/0a/run.log": b"said",
    "secrets/ray.token": b"token",
}
LEFT = {
    "runs/0a/workspace/raw.parquet": b"rows",
    "bundles/plums/0a/model.onnx": b"model",
    "metrics/replica.prom": b"1",
    "batches/incoming/plums-0b/given": b"rows",
}


def _tracked(path: Path, location: str = "mlflow-artifacts:/1") -> None:
    """A database as MLflow's, as far as anybody here looks at it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE experiments (artifact_location TEXT)")
        connection.execute("CREATE TABLE runs (run_uuid TEXT, artifact_uri TEXT)")
        connection.execute("INSERT INTO experiments VALUES (?)", (location,))
        connection.execute("INSERT INTO runs VALUES ('0a', ?)", (f"{location}/0a/artifacts",))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    home = made.pilothouse.settings.home
    for name, content in {**FILES, **LEFT}.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content)
    _tracked(home / "mlflow" / "mlflow.db")
    # What DVC does with a batch: one file under two names, for nobody to write to.
    batch = home / "batches" / "plums" / "0a.parquet"
    batch.chmod(0o444)
    cached = home / "batches" / ".dvc" / "cache" / "files" / "md5" / "0a" / "1b"
    cached.parent.mkdir(parents=True)
    os.link(batch, cached)
    made.pilothouse.audit.record(Action.RUN_STARTED, actor="ann", object="run 0a")
    yield made
    made.close()


def _settings(world: World) -> Settings:
    return world.pilothouse.settings


def _create(world: World, to: Path | None = None, *, with_secrets: bool = True) -> Made:
    service = BackupService(_settings(world), world.pilothouse.audit)
    return service.create(to, with_secrets=with_secrets, actor="operator")


def _restore(settings: Settings, file: Path, *, replace: bool = False, actor: str = "") -> Restored:
    return connect_restore(settings, file, actor, "a drill").restore(file, replace=replace)


def _lose(world: World) -> None:
    world.close()
    shutil.rmtree(_settings(world).home)


def _content(home: Path) -> dict[str, bytes]:
    return {
        path.relative_to(home).as_posix(): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file()
    }


def _rows(database: Path) -> list[str]:
    """All that is in a database."""
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


class TestThereAndBack:
    def test_all_that_cannot_be_made_again_is_there_again(
        self, world: World, tmp_path: Path
    ) -> None:
        settings, audit = _settings(world), world.pilothouse.audit
        world.put_into_production()
        file = tmp_path / "elsewhere" / "b.tar.gz"
        before, rows = _rows(settings.home / "mlflow" / "mlflow.db"), audit.list(None)
        history = world.pilothouse.promotions.history("plums")
        made = _create(world, file)
        _lose(world)

        done = _restore(settings, file)

        assert done.aside is None
        assert done.archive.sha256 == made.sha256
        content = _content(settings.home)
        assert FILES.items() <= content.items()
        assert not LEFT.keys() & content.keys()
        assert _rows(settings.home / "mlflow" / "mlflow.db") == before
        batches = settings.home / "batches"
        linked = (batches / "plums" / "0a.parquet").stat()
        assert (linked.st_nlink, linked.st_mode & 0o777) == (2, 0o444)
        again = connect(settings)
        try:
            assert again.audit.verify().is_whole
            # The row that says it was made came after the copy; one says that it is back.
            newest, *others = again.audit.list(None)
            assert tuple(others) == rows
            assert newest.entry.action == Action.BACKUP_RESTORED
            assert newest.entry.actor == settings.operator
            assert newest.entry.reason == "a drill"
            assert made.sha256 in newest.entry.detail
            assert again.promotions.history("plums") == history
        finally:
            again.database.close()

    def test_it_is_restored_to_another_home(self, world: World, tmp_path: Path) -> None:
        made = _create(world, tmp_path / "b.tar.gz")
        other = Settings(home=tmp_path / "other")
        _restore(other, made.file)
        assert FILES.items() <= _content(other.home).items()
        again = Database(other.database_address)
        try:
            assert make_trail(again, other.home).verify().is_whole
        finally:
            again.close()
        # Nothing that was restored knows where the home was, but for what the trail says of it.
        for name, content in _content(other.home).items():
            if name != "pilothouse.db":
                assert str(_settings(world).home).encode() not in content, name

    def test_what_is_there_is_moved_aside_and_not_deleted(self, world: World) -> None:
        settings = _settings(world)
        made = _create(world)
        assert made.file.parent == settings.home / "backups"
        late = settings.home / "labels" / "plums" / "late"
        late.write_bytes(b"since the backup")
        world.close()
        before = {
            name: content
            for name, content in _content(settings.home).items()
            if not name.startswith(("backups", "run/"))
        }

        with pytest.raises(ConflictError, match="in the home already"):
            _restore(settings, made.file)
        done = _restore(settings, made.file, replace=True)

        assert done.aside is not None
        assert _content(done.aside) == before
        assert not late.exists()
        assert made.file.exists()

    def test_its_restore_is_in_the_trail_by_whoever_did_it(
        self, world: World, tmp_path: Path
    ) -> None:
        settings = _settings(world)
        world.pilothouse.accounts.add("eve", Role.ADMIN, actor="operator")
        made = _create_as(world, tmp_path / "b.tar.gz", "eve")
        _lose(world)
        _restore(settings, made.file)
        again = connect(settings)
        try:
            (newest,) = again.audit.list(1)
            # With accounts, and nobody who showed a token: the owner of the files.
            assert (newest.entry.actor, newest.entry.role) == ("host", "host")
        finally:
            again.database.close()
        _restore(settings, made.file, replace=True, actor="eve")
        again = connect(settings)
        try:
            (newest,) = again.audit.list(1)
            assert (newest.entry.actor, newest.entry.role) == ("eve", "admin")
        finally:
            again.database.close()

    def test_an_address_of_the_homes_own_database_changes_nothing(
        self, world: World, tmp_path: Path
    ) -> None:
        own = SecretStr(f"sqlite:///{_settings(world).home / 'pilothouse.db'}")
        settings = _settings(world).model_copy(update={"database_url": own})
        made = _create(world, tmp_path / "b.tar.gz")
        world.pilothouse.accounts.add("eve", Role.ADMIN, actor="operator")
        world.close()
        _restore(settings, made.file, replace=True)
        again = connect(settings)
        try:
            (newest,) = again.audit.list(1)
            assert newest.entry.action is Action.BACKUP_RESTORED
            assert again.accounts.list() == ()
            assert again.audit.verify().is_whole
        finally:
            again.database.close()


def _create_as(world: World, file: Path, actor: str) -> Made:
    service = BackupService(_settings(world), world.pilothouse.audit)
    return service.create(file, with_secrets=True, actor=actor)


class TestMaking:
    def test_it_is_for_its_owner_alone_and_recorded(self, world: World, tmp_path: Path) -> None:
        made = _create(world, tmp_path / "b.tar.gz")
        assert made.file.stat().st_mode & 0o777 == 0o600
        assert made.file.stat().st_size == made.archive_bytes
        (newest,) = world.pilothouse.audit.list(1)
        assert newest.entry.action == Action.BACKUP_MADE
        assert made.sha256 in newest.entry.detail
        assert "with secrets" in newest.entry.detail
        assert world.pilothouse.audit.verify().is_whole

    def test_it_describes_what_it_is_of(self, world: World, tmp_path: Path) -> None:
        made = _create(world, tmp_path / "b.tar.gz")
        read = read_archive(made.file, OnlyLook())
        assert read.sha256 == made.sha256
        assert read.description == made.description
        assert read.description.revision in known_revisions()
        assert read.description.home == str(_settings(world).home)
        assert len(read.manifest.members) == made.files

    def test_a_database_that_is_not_in_the_home_is_named(
        self, world: World, tmp_path: Path
    ) -> None:
        (_settings(world).home / "mlflow" / "mlflow.db").unlink()
        made = _create(world, tmp_path / "b.tar.gz")
        assert made.description.absent == ("MLflow's database",)
        _lose(world)
        done = _restore(_settings(world), made.file)
        assert "Not in the backup: MLflow's database." in done.remarks

    @pytest.mark.parametrize(
        "changed",
        [
            {"mlflow_address": "http://127.0.0.1:9"},
            {"mlflow_database_url": SecretStr("postgresql://ann@127.0.0.1:9/mlflow")},
        ],
    )
    def test_a_database_that_is_in_force_no_more_is_not_taken_for_it(
        self, world: World, tmp_path: Path, changed: dict[str, object]
    ) -> None:
        settings = _settings(world).model_copy(update=changed)
        service = BackupService(settings, world.pilothouse.audit)
        made = service.create(tmp_path / "b.tar.gz", with_secrets=True, actor="operator")
        assert made.description.absent == ("MLflow's database",)
        assert "127.0.0.1:9/mlflow" not in made.description.model_dump_json()

    def test_what_lies_in_a_store_is_named_and_no_segment_is_taken(
        self, world: World, tmp_path: Path
    ) -> None:
        store = {"store_url": "s3://bucket/one", "s3_endpoint": "http://127.0.0.1:9"}
        settings = _settings(world).model_copy(update=store)
        log = settings.home / "inference" / "plums"
        for name in ("segments/a.arrow", "compaction.json", "daily/2026-01-31/v1-1.parquet"):
            (log / name).parent.mkdir(parents=True, exist_ok=True)
            (log / name).write_bytes(b"{}")
        service = BackupService(settings, world.pilothouse.audit)
        made = service.create(tmp_path / "b.tar.gz", with_secrets=True, actor="operator")
        assert made.description.store == "s3://bucket/one"
        members = read_archive(made.file, OnlyLook()).manifest.members
        ours = [one.name for one in members if "/plums/" in one.name and "inference" in one.name]
        assert ours == ["home/inference/plums/daily/2026-01-31/v1-1.parquet"]
        _lose(world)
        done = _restore(settings, made.file)
        assert any("s3://bucket/one is no part of the backup" in one for one in done.remarks)
        _lose(world)
        done = _restore(_settings(world), made.file)
        assert any("PILOTHOUSE_STORE_URL is not set" in one for one in done.remarks)

    def test_what_is_written_once_files_are_copied_is_in_no_database(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A row that comes with its file while files are copied: the file may be there alone."""
        audit, home = world.pilothouse.audit, _settings(world).home
        add = archive.ArchiveWriter.add_file

        def meanwhile(self: archive.ArchiveWriter, name: str, path: Path) -> bool:
            if name.startswith("home/mlflow/artifacts"):
                (home / "mlflow" / "artifacts" / "late").write_bytes(b"late")
                (home / "training-data").mkdir(exist_ok=True)
                (home / "training-data" / "late.parquet").write_bytes(b"late")
                audit.record(Action.RUN_STARTED, actor="ann", object="run late")
            return add(self, name, path)

        monkeypatch.setattr(archive.ArchiveWriter, "add_file", meanwhile)
        made = _create(world, tmp_path / "b.tar.gz")
        _lose(world)
        _restore(_settings(world), made.file)
        assert (home / "training-data" / "late.parquet").exists()
        again = connect(_settings(world))
        try:
            assert "run late" not in {row.entry.object for row in again.audit.list(None)}
            assert again.audit.verify().is_whole
        finally:
            again.database.close()

    def test_no_file_is_replaced(self, world: World, tmp_path: Path) -> None:
        file = tmp_path / "b.tar.gz"
        file.write_text("precious")
        with pytest.raises(ConflictError, match="there already"):
            _create(world, file)
        assert file.read_text() == "precious"

    def test_whoever_has_no_right_gets_none(self, world: World, tmp_path: Path) -> None:
        world.pilothouse.accounts.add("eve", Role.ADMIN, actor="operator")
        world.pilothouse.accounts.add("vic", Role.VIEWER, actor="eve")
        with pytest.raises(ForbiddenError):
            _create_as(world, tmp_path / "b.tar.gz", "vic")
        assert not (tmp_path / "b.tar.gz").exists()

    def test_a_failed_one_leaves_nothing(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = tmp_path / "target"
        add, steps = archive.ArchiveWriter.add_file, [0]
        for number in range(6):
            steps[0] = 0

            def failing(
                self: archive.ArchiveWriter, name: str, path: Path, number: int = number
            ) -> bool:
                steps[0] += 1
                if steps[0] > number:
                    raise OSError(28, "No space left on device", str(path))
                return add(self, name, path)

            monkeypatch.setattr(archive.ArchiveWriter, "add_file", failing)
            with pytest.raises(UnavailableError, match="No space left"):
                _create(world, target / "b.tar.gz")
            assert list(target.iterdir()) == []
        (newest,) = world.pilothouse.audit.list(1)
        assert newest.entry.outcome == "failed"

    def test_without_its_row_there_is_no_backup(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise UnavailableError("The database does not answer.")

        monkeypatch.setattr("core.promotion.act.Act.done", refuse)
        with pytest.raises(UnavailableError, match="does not answer"):
            _create(world, tmp_path / "target" / "b.tar.gz")
        assert list((tmp_path / "target").iterdir()) == []

    def test_what_a_killed_one_left_goes_with_the_next(self, world: World, tmp_path: Path) -> None:
        here = socket.gethostname()
        names = (f"{here}-left", f"{here}-live", "another-host-live")
        left, live, elsewhere = (tmp_path / f".pilothouse-backup-{name}" for name in names)
        for folder in (left, live, elsewhere):
            folder.mkdir()
            (folder / "archive").write_bytes(b"half")
            os.utime(folder, (1, 1))
        with making._locked(live):
            _create(world, tmp_path / "b.tar.gz")
        assert not left.exists()
        assert live.exists()
        # Its lock may be one of that host alone.
        assert elsewhere.exists()

    def test_compaction_waits_for_it(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = _settings(world).home
        folder = home / "inference" / "plums"
        writer = SegmentWriter(folder / "segments", "a", SegmentLimits(1 << 20, 60.0))
        at = pa.array([datetime.now(UTC)], pa.timestamp("us", "UTC"))
        writer.append(pa.record_batch({"at": at, "version": [1]}))
        writer.close()
        store = making.SegmentStore(folder, "v", "version")
        seen: list[tuple[str, int]] = []
        add = archive.ArchiveWriter.add_file

        def watching(self: archive.ArchiveWriter, name: str, path: Path) -> bool:
            if "/inference/" in name:
                seen.append((Path(name).suffix, store.compact()))
            return add(self, name, path)

        monkeypatch.setattr(archive.ArchiveWriter, "add_file", watching)
        _create(world, tmp_path / "b.tar.gz")
        assert seen == [(".arrow", 0)]
        assert store.compact() == 1

    def test_no_decision_is_carried_out_between_the_databases(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        free: list[bool] = []
        copy = copy_sqlite

        def watching(source: Path, to: Path, name: str) -> None:
            with making.Turn(_settings(world).home / "decisions.lock").taken_if_free() as is_free:
                free.append(is_free)
            copy(source, to, name)

        monkeypatch.setattr(making, "copy_sqlite", watching)
        _create(world, tmp_path / "b.tar.gz")
        assert free == [False, False]

    def test_the_trail_may_go_on_meanwhile(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A row after the anchor was read and before the database was: ahead is in order."""
        audit, copy = world.pilothouse.audit, copy_sqlite

        def late(source: Path, to: Path, name: str) -> None:
            audit.record(Action.RUN_STARTED, actor="ann", object="run 0b")
            copy(source, to, name)
            audit.record(Action.RUN_STARTED, actor="ann", object="run 0c")

        monkeypatch.setattr(making, "copy_sqlite", late)
        made = _create(world, tmp_path / "b.tar.gz")
        _lose(world)
        done = _restore(_settings(world), made.file)
        assert not any("backed up so" in remark for remark in done.remarks)
        again = connect(_settings(world))
        try:
            assert again.audit.verify().is_whole
        finally:
            again.database.close()


class TestRefusing:
    @pytest.fixture
    def made(self, world: World, tmp_path: Path) -> Made:
        return _create(world, tmp_path / "b.tar.gz")

    def _unchanged(self, settings: Settings, file: Path, said: str, **how: bool) -> None:
        before = _content(settings.home)
        with pytest.raises((ConflictError, RefusedError, InvalidInputError), match=said):
            _restore(settings, file, **how)
        after = _content(settings.home)
        after.pop("run/lifecycle.lock", None)
        before.pop("run/lifecycle.lock", None)
        assert after == before

    def test_while_the_worker_beats(self, world: World, made: Made) -> None:
        layout = layout_of(_settings(world).home)
        layout.run.mkdir(exist_ok=True)
        layout.worker_heartbeat.touch()
        world.close()
        self._unchanged(_settings(world), made.file, "in use: its worker beats", replace=True)

    def test_while_another_process_has_its_files_open(
        self, world: World, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bootstrap_backup, "users_of", lambda *_, **__: [4711])
        world.close()
        self._unchanged(
            _settings(world), made.file, "in use: process 4711 has a file", replace=True
        )

    def test_while_another_command_starts_or_stops_services(self, world: World, made: Made) -> None:
        layout = layout_of(_settings(world).home)
        layout.prepare()
        with alone(layout):
            self._unchanged(_settings(world), made.file, "just now", replace=True)

    def test_a_damaged_one(self, world: World, made: Made) -> None:
        content = gzip.decompress(made.file.read_bytes())
        made.file.write_bytes(gzip.compress(content.replace(b"model" * 9, b"modem" * 9, 1)))
        world.close()
        self._unchanged(_settings(world), made.file, "is not what was backed up", replace=True)

    def test_one_of_a_newer_release(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(making, "pilothouse_version", lambda: "99.0")
            made = _create(world, tmp_path / "newer.tar.gz")
        self._unchanged(_settings(world), made.file, "Pilothouse 99.0", replace=True)

    def test_one_that_only_fits_the_home_of_the_time(self, world: World, tmp_path: Path) -> None:
        home = _settings(world).home
        (home / "mlflow" / "mlflow.db").unlink()
        _tracked(home / "mlflow" / "mlflow.db", f"file://{home}/mlflow/artifacts/1")
        made = _create(world, tmp_path / "bound.tar.gz")
        other = Settings(home=tmp_path / "other")
        with pytest.raises(ConflictError, match="by their place in the home"):
            _restore(other, made.file)
        assert not (other.home / "pilothouse.db").exists()
        world.close()
        assert _restore(_settings(world), made.file, replace=True).aside is not None

    def test_another_mount_in_the_home(
        self, world: World, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.close()
        monkeypatch.setattr(restoring.os.path, "ismount", lambda path: path.name == "mlflow")
        self._unchanged(_settings(world), made.file, "another file system", replace=True)

    def test_another_database_than_sqlite(self) -> None:
        with pytest.raises(SetupError, match="not a file of SQLite"):
            sqlite_file("postgresql://ann@db/pilothouse")

    def test_where_another_database_than_the_homes_is_in_force(
        self, world: World, made: Made, tmp_path: Path
    ) -> None:
        elsewhere = SecretStr(f"sqlite:///{tmp_path / 'elsewhere.db'}")
        settings = _settings(world).model_copy(update={"database_url": elsewhere})
        world.close()
        with pytest.raises(SetupError, match="a database outside it"):
            _restore(settings, made.file, replace=True)
        assert not (tmp_path / "elsewhere.db").exists()
        assert not list(settings.home.glob("before-restore-*"))

    def test_a_restore_that_fails_late_leaves_all_as_it_was(
        self, world: World, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = _settings(world)
        world.close()
        before = _content(settings.home)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device", "x")

        for step in ("unpack", "sign", "journal"):
            with monkeypatch.context() as patched:
                if step == "unpack":
                    patched.setattr("core.backup.unpacking.os.utime", full)
                elif step == "sign":
                    patched.setattr(Database, "migrate", full)
                else:
                    patched.setattr(swap, "write_durably", full)
                with pytest.raises(UnavailableError, match="as it was"):
                    _restore(settings, made.file, replace=True)
            after = _content(settings.home)
            after.pop("run/lifecycle.lock", None)
            assert after == before, step


class TestSecrets:
    def test_they_stay_out_where_none_are_wanted(self, world: World, tmp_path: Path) -> None:
        made = _create(world, tmp_path / "b.tar.gz", with_secrets=False)
        read = read_archive(made.file, OnlyLook())
        assert not [one for one in read.manifest.members if "secrets" in one.name]
        key = (_settings(world).home / "secrets" / "audit.key").read_bytes()
        assert key not in gzip.decompress(made.file.read_bytes())

    def test_without_them_the_key_has_to_be_there(self, world: World, tmp_path: Path) -> None:
        settings = _settings(world)
        made = _create(world, tmp_path / "b.tar.gz", with_secrets=False)
        key = (settings.home / "secrets" / "audit.key").read_bytes()
        _lose(world)
        with pytest.raises(RefusedError, match="the key of the audit trail is not at"):
            _restore(settings, made.file)
        place = settings.home / "secrets" / "audit.key"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x" * 32)
        with pytest.raises(RefusedError, match="not written under the key"):
            _restore(settings, made.file)
        place.write_bytes(key)
        done = _restore(settings, made.file)
        assert done.aside is None
        again = connect(settings)
        try:
            assert again.audit.verify().is_whole
        finally:
            again.database.close()

    def test_those_that_are_there_stay(self, world: World, tmp_path: Path) -> None:
        settings = _settings(world)
        made = _create(world, tmp_path / "b.tar.gz", with_secrets=False)
        token = settings.home / "secrets" / "ray.token"
        token.write_bytes(b"another since")
        world.close()
        done = _restore(settings, made.file, replace=True)
        assert token.read_bytes() == b"another since"
        assert done.aside is not None
        assert not (done.aside / "secrets").exists()


class TestKeyAndAnchorElsewhere:
    @pytest.fixture
    def settings(self, world: World, tmp_path: Path) -> Settings:
        """The same installation with key and anchor on another disk."""
        found = _settings(world)
        apart = tmp_path / "apart"
        apart.mkdir()
        shutil.move(found.audit_key, apart / "key")
        shutil.move(found.audit_anchor, apart / "anchor")
        changed = {"audit_key_file": str(apart / "key"), "audit_anchor_file": str(apart / "anchor")}
        return found.model_copy(update=changed)

    def _make(self, settings: Settings, file: Path, *, with_secrets: bool = True) -> Made:
        pilothouse = connect(settings)
        try:
            service = BackupService(settings, pilothouse.audit)
            return service.create(file, with_secrets=with_secrets, actor="operator")
        finally:
            pilothouse.database.close()

    def test_they_are_put_back_where_they_were(
        self, world: World, settings: Settings, tmp_path: Path
    ) -> None:
        world.close()
        made = self._make(settings, tmp_path / "b.tar.gz")
        shutil.rmtree(settings.home)
        shutil.rmtree(tmp_path / "apart")
        _restore(settings, made.file)
        assert not (settings.home / "secrets" / "audit.key").exists()
        assert not (settings.home / "audit" / "anchor").exists()
        again = connect(settings)
        try:
            assert again.audit.verify().is_whole
        finally:
            again.database.close()

    @pytest.mark.parametrize("with_secrets", [True, False])
    def test_a_place_of_its_own_in_the_home_is_one(
        self, world: World, settings: Settings, tmp_path: Path, with_secrets: bool
    ) -> None:
        world.close()
        apart = settings.home / "apart"
        shutil.move(tmp_path / "apart", apart)
        changed = {"audit_key_file": str(apart / "key"), "audit_anchor_file": str(apart / "anchor")}
        settings = settings.model_copy(update=changed)
        made = self._make(settings, tmp_path / "b.tar.gz", with_secrets=with_secrets)
        done = _restore(settings, made.file, replace=True)
        assert done.aside is not None
        again = connect(settings)
        try:
            assert again.audit.verify().is_whole
        finally:
            again.database.close()

    def test_an_anchor_that_is_there_is_not_turned_back(
        self, world: World, settings: Settings, tmp_path: Path
    ) -> None:
        """It is there to show that the end of the trail is gone, and so it does."""
        world.close()
        made = self._make(settings, tmp_path / "b.tar.gz")
        anchor = settings.audit_anchor.read_bytes()
        shutil.rmtree(settings.home)
        done = _restore(settings, made.file)
        assert settings.audit_anchor.read_bytes() == anchor
        assert any("was left as it is" in remark for remark in done.remarks)
        again = connect(settings)
        try:
            assert [one.kind.value for one in again.audit.verify().findings] == ["cut off"]
            again.audit.reanchor(actor="operator", reason="restored")
            assert again.audit.verify().is_whole
        finally:
            again.database.close()

    def test_another_key_is_not_replaced(
        self, world: World, settings: Settings, tmp_path: Path
    ) -> None:
        world.close()
        made = self._make(settings, tmp_path / "b.tar.gz")
        shutil.rmtree(settings.home)
        settings.audit_key.write_bytes(b"y" * 32)
        with pytest.raises(RefusedError, match="is not the one of the backup"):
            _restore(settings, made.file)
        assert settings.audit_key.read_bytes() == b"y" * 32


class TestInterrupted:
    def test_whoever_connects_next_completes_it(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = _settings(world)
        made = _create(world, tmp_path / "b.tar.gz")
        world.close()

        class Killed(BaseException):
            pass

        def die(*_: object) -> None:
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(swap, "_move", die)
            with pytest.raises(Killed):
                _restore(settings, made.file, replace=True)
        assert swap.is_incomplete(settings.home)
        layout = layout_of(settings.home)
        with alone(layout), pytest.raises(ConflictError, match="just now"):
            # It is still at work.
            complete_interrupted(layout)
        again = connect(settings)
        try:
            (newest,) = again.audit.list(1)
            assert newest.entry.action == Action.BACKUP_RESTORED
            assert again.audit.verify().is_whole
        finally:
            again.database.close()
        (aside,) = settings.home.glob("before-restore-*")
        assert (aside / "pilothouse.db").exists()


class TestDatabases:
    def _write(self, path: Path, stop: threading.Event, journal: str) -> None:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            connection.execute(f"PRAGMA journal_mode={journal}")
            number = 0
            while not stop.wait(0.002):
                number += 1
                with connection:
                    connection.execute("INSERT INTO one VALUES (?)", (number,))
                    connection.execute("INSERT INTO two VALUES (?)", (number,))

    @pytest.mark.parametrize("journal", ["wal", "delete"])
    def test_a_copy_is_of_one_moment_while_somebody_writes(
        self, tmp_path: Path, journal: str
    ) -> None:
        source = tmp_path / "a.db"
        with closing(sqlite3.connect(source)) as connection, connection:
            connection.execute("CREATE TABLE one (number INTEGER)")
            connection.execute("CREATE TABLE two (number INTEGER)")
        stop = threading.Event()
        writer = threading.Thread(target=self._write, args=(source, stop, journal))
        writer.start()
        counts = []
        try:
            for place in range(3):
                time.sleep(0.1)
                copy = tmp_path / f"{place}.db"
                copy_sqlite(source, copy, "It")
                assert [path.name for path in tmp_path.glob(f"{place}.db-*")] == []
                with closing(sqlite3.connect(copy)) as connection:
                    one, two = (
                        connection.execute(f"SELECT count(*), max(number) FROM {table}").fetchone()
                        for table in ("one", "two")
                    )
                assert one == two
                counts.append(one[0])
        finally:
            stop.set()
            writer.join()
        assert counts == sorted(counts)
        assert counts[0] < counts[-1]

    def test_one_that_stays_locked_is_given_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = tmp_path / "a.db"
        with closing(sqlite3.connect(source)) as connection, connection:
            connection.execute("CREATE TABLE one (number INTEGER)")
        monkeypatch.setattr(database_copy, "PATIENCE_S", 0.1)
        with closing(sqlite3.connect(source, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            with pytest.raises(UnavailableError, match="locked"):
                copy_sqlite(source, tmp_path / "b.db", "It", patience_s=0.3)

    def test_a_damaged_one_is_no_backup(self, tmp_path: Path) -> None:
        source = tmp_path / "a.db"
        with closing(sqlite3.connect(source)) as connection, connection:
            connection.execute("CREATE TABLE one (text TEXT)")
            connection.executemany(
                "INSERT INTO one VALUES (?)", [("x" * 500,) for _ in range(1000)]
            )
        content = bytearray(source.read_bytes())
        content[8192:40960] = os.urandom(32768)
        source.write_bytes(content)
        with pytest.raises(UnavailableError, match=r"damaged|cannot be copied"):
            copy_sqlite(source, tmp_path / "b.db", "It")

    def test_what_is_no_database_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "a.db").write_bytes(b"plums" * 1000)
        with pytest.raises(UnavailableError):
            revision_of(tmp_path / "a.db")
        with pytest.raises(UnavailableError):
            copy_sqlite(tmp_path / "none.db", tmp_path / "b.db", "It")

    def test_the_schema_is_told(self, world: World, tmp_path: Path) -> None:
        (tmp_path / "empty.db").touch()
        assert revision_of(tmp_path / "empty.db") == ""
        assert revision_of(_settings(world).home / "pilothouse.db") in known_revisions()

    def test_artifacts_behind_the_server_are_nowhere_else(self, tmp_path: Path) -> None:
        for location, expected in (
            ("mlflow-artifacts:/1", ()),
            ("s3://bucket/1", ("s3://bucket/1", "s3://bucket/1/0a/artifacts")),
        ):
            file = tmp_path / f"{len(expected)}.db"
            _tracked(file, location)
            assert artifacts_elsewhere(file) == expected
