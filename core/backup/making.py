"""Makes a backup of an installation, which may be in use meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from core.adapters.database_copy import (
    artifacts_elsewhere,
    copy_sqlite,
    revision_of,
)
from core.backup.archive import ArchiveWriter
from core.backup.contents import (
    ANCHOR,
    AUDIT_KEY,
    DATABASE,
    HOME,
    MLFLOW_DATABASE,
    PARAMS,
    Kind,
    Store,
    chosen,
)
from core.backup.manifest import DESCRIPTION_FILE, FORMAT, Description
from core.backup.places import address_of_store, databases
from core.backup.releases import mlflow_version, pilothouse_version
from core.data.segment_store import SegmentStore
from core.errors import ConflictError, SetupError, UnavailableError
from core.kept_files import sync_folder
from core.promotion.audit import Action
from core.promotion.trail import AuditTrail
from core.promotion.turn import Turn
from core.settings import Settings
from core.wording import count

FOLDER, SUFFIX = "backups", ".tar.gz"
#: Folder in which an archive grows, beside the one that it will be.
_PART = ".pilothouse-backup-"
#: A folder of this age may not be locked yet.
_YOUNG_S = 60.0

_DATABASES = {DATABASE: "Pilothouse's database", MLFLOW_DATABASE: "MLflow's database"}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """A backup that is there, whole."""

    file: Path
    sha256: str
    #: Bytes of the archive, and of all that is in it.
    archive_bytes: int
    content_bytes: int
    files: int
    description: Description


class BackupService:
    """Makes backups of one installation."""

    def __init__(
        self,
        settings: Settings,
        trail: AuditTrail,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._trail = trail
        self._clock = clock

    def create(
        self, to: Path | None, *, with_secrets: bool, actor: str, say: Say = lambda _: None
    ) -> Made:
        """Writes one archive with all that cannot be made again; a failed one leaves nothing.

        Args:
            to: the archive, which must not be there yet; ``None`` for one named by time in
                the folder ``backups`` of the home.
            with_secrets: whether it holds the keys of the installation as well.
            actor: who makes it.
            say: told what is being done.

        Raises:
            ConflictError: there is a file of that name, or one was cut while it was read.
            SetupError: the database is none of SQLite, or the folder cannot be written.
            UnavailableError: a database cannot be copied, or the disk is full.
            ForbiddenError: the actor may not.
        """
        began = self._clock()
        folder = self._settings.home / FOLDER
        file = to or folder / f"pilothouse-{began:%Y%m%dT%H%M%SZ}{SUFFIX}"
        with self._trail.act(Action.BACKUP_MADE, actor=actor, object=f"backup {file.name}") as act:
            with _disk_errors(file), _apart(file) as work:
                # First of all: the trail that is copied after it may be ahead of it.
                anchor = _read_if_there(self._settings.audit_anchor)
                say("copying the databases")
                copies = self._copy_databases(work)
                description = self._describe(copies, began, actor, with_secrets=with_secrets)
                growing = work / "archive"
                with _new_private(growing) as open_file:
                    made = self._write(open_file, file, description, anchor, copies, say)
                    open_file.flush()
                    os.fsync(open_file.fileno())
                # The row comes before the file has its name: no backup is there without one.
                act.done(_told(made))
                _refuse_existing(file)
                growing.rename(file)
                sync_folder(file.parent)
        return made

    def _describe(
        self, copies: Mapping[str, Path], began: datetime, by: str, *, with_secrets: bool
    ) -> Description:
        tracked = copies.get(MLFLOW_DATABASE)
        return Description(
            format=FORMAT,
            pilothouse=pilothouse_version(),
            mlflow=mlflow_version(),
            revision=revision_of(copies[DATABASE]),
            made_at=began,
            made_by=by,
            home=str(self._settings.home),
            with_secrets=with_secrets,
            settings=self._settings.public(),
            store=address_of_store(self._settings),
            absent=tuple(title for name, title in _DATABASES.items() if name not in copies),
            artifacts_elsewhere=artifacts_elsewhere(tracked) if tracked else (),
        )

    def _write(
        self,
        into: BinaryIO,
        file: Path,
        description: Description,
        anchor: bytes | None,
        copies: Mapping[str, Path],
        say: Say,
    ) -> Made:
        with ArchiveWriter(into) as writer:
            page = description.model_dump_json(indent=2)
            writer.add_bytes(DESCRIPTION_FILE, page.encode())
            if anchor is not None:
                writer.add_bytes(f"{HOME}/{ANCHOR}", anchor)
            if description.with_secrets:
                # Wherever it lies; other secrets are in the home.
                writer.add_file(f"{HOME}/{AUDIT_KEY}", self._settings.audit_key)
            for name, copy in copies.items():
                writer.add_file(f"{HOME}/{name}", copy)
                copy.unlink()
            taken = chosen(
                with_secrets=description.with_secrets, with_store=bool(description.store)
            )
            for store in taken:
                say(f"copying {store.title}")
                self._add(writer, store)
            writer.add_file(PARAMS, self._settings.params_file)
            sha256 = writer.close()
            size = sum(member.size for member in writer.members)
            return Made(file, sha256, into.tell(), size, len(writer.members), description)

    def _copy_databases(self, work: Path) -> dict[str, Path]:
        """Copies of both as they are while no decision is carried out, by name in the home.

        Else an alias in MLflow might be ahead of the promotion record. The other way round is
        in order: the worker carries out what was decided.
        """
        copies: dict[str, Path] = {}
        sources = databases(self._settings)
        with Turn(self._settings.home / "decisions.lock").taken():
            for name, source in sources.items():
                copies[name] = work / Path(name).name
                copy_sqlite(source, copies[name], _DATABASES[name])
        return copies

    def _add(self, writer: ArchiveWriter, store: Store) -> None:
        folder = self._settings.home / store.folder
        if store.kind is not Kind.LOG:
            self._add_files(writer, store, folder)
            return
        for log in sorted(path for path in _entries(folder) if path.is_dir()):
            with SegmentStore(log, log.name).held():
                self._add_files(writer, store, log)

    def _add_files(self, writer: ArchiveWriter, store: Store, below: Path) -> None:
        home = self._settings.home
        for path in _files(below):
            name = path.relative_to(home).as_posix()
            if store.takes(tuple(name.split("/")[len(store.parts) :])):
                writer.add_file(f"{HOME}/{name}", path)


def _files(below: Path) -> Iterator[Path]:
    """Ordinary files in order of their names; links are not followed."""
    if below.is_file() and not below.is_symlink():
        yield below
    for folder, folders, files in os.walk(below):
        folders.sort()
        for name in sorted(files):
            yield Path(folder) / name


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _read_if_there(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _told(made: Made) -> str:
    secrets = "with" if made.description.with_secrets else "without"
    return (
        f"{count(made.files, 'file')}, {count(made.archive_bytes, 'byte')}, {secrets} secrets, "
        f"sha256 {made.sha256}, as {made.file}."
    )


def _refuse_existing(file: Path) -> None:
    if file.exists():
        raise ConflictError(f"{file} is there already.", fix="Choose another name.")


def _new_private(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


@contextmanager
def _apart(file: Path) -> Iterator[Path]:
    """A locked folder in which an archive grows; goes with all that is in it.

    Those of processes that were killed go as well: nobody holds their lock.
    """
    _refuse_existing(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A share of several hosts keeps no lock of another one.
        part = f"{_PART}{socket.gethostname()}-"
        for left in file.parent.glob(f"{glob.escape(part)}*"):
            with contextlib.suppress(OSError), _locked(left):
                if time.time() - left.stat().st_mtime > _YOUNG_S:
                    shutil.rmtree(left)
        work = Path(tempfile.mkdtemp(prefix=part, dir=file.parent))
    except OSError as exc:
        raise SetupError(
            f"The folder {file.parent} cannot be written ({exc.strerror}).",
            fix="Name a file in a folder that you may write.",
        ) from exc
    try:
        with _locked(work):
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds a folder's lock.

    Raises:
        BlockingIOError: somebody else holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _disk_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        what = exc.filename or file
        raise UnavailableError(
            f"The backup failed at {what} ({exc.strerror or type(exc).__name__}).",
            fix="Check the disk and the rights; nothing of it was left behind.",
        ) from exc
