"""Puts a restored state in the place of the one that is there, wholly or not at all.

The restored state is prepared in a folder of the home, ``.restore/new``. Then a journal is
written that says what goes where. It is the moment at which the restore happens: without it
the home is as it was, with it the rest, which is renames alone, can be done by whoever comes
next. Entries are moved one by one because the home itself may be a volume, which nobody can
rename.
"""

from __future__ import annotations

import contextlib
import shutil
from datetime import datetime
from os.path import lexists
from pathlib import Path

from core.backup.deciding import ASIDE, STAGING
from core.errors import UnavailableError
from core.frozen import Frozen
from core.kept_files import sync_folder, write_durably


class Journal(Frozen):
    """What is to be moved, by name in the home."""

    #: Folder of the home that takes what was there.
    aside: str
    away: tuple[str, ...]
    incoming: tuple[str, ...]


def prepared(home: Path) -> Path:
    """Where a restore prepares the state that is to come."""
    return home / STAGING / "new"


def begin(home: Path) -> Path:
    """Makes an empty folder for the state that is to come; what a killed restore left goes.

    Raises:
        OSError: it cannot be made.
    """
    forget(home)
    folder = prepared(home)
    folder.mkdir(parents=True, mode=0o700)
    return folder


def forget(home: Path) -> None:
    """Removes what was prepared and never put in place."""
    shutil.rmtree(home / STAGING, ignore_errors=True)


def aside_of(home: Path, at: datetime) -> str:
    """Name of a new folder for what is there now."""
    name = f"{ASIDE}{at:%Y%m%dT%H%M%SZ}"
    taken = sum(1 for _ in home.glob(f"{name}*"))
    return f"{name}-{taken + 1}" if taken else name


def put_in_place(home: Path, aside: str, away: tuple[str, ...]) -> None:
    """Moves what is there aside and what was prepared in its place.

    Raises:
        UnavailableError: something cannot be moved; what was there is there again.
    """
    incoming = tuple(sorted(path.name for path in prepared(home).iterdir()))
    journal = Journal(aside=aside, away=away, incoming=incoming)
    try:
        write_durably(_journal_file(home), journal.model_dump_json().encode())
        _move(home, journal)
    except OSError as exc:
        _undo(home, journal)
        raise UnavailableError(
            f"{exc.filename} cannot be moved ({exc.strerror}), so all is as it was.",
            fix="Check the disk and the rights of PILOTHOUSE_HOME, then try again.",
        ) from exc


def is_incomplete(home: Path) -> bool:
    """Whether a restore has happened and was killed before all was in its place."""
    return _journal_file(home).exists()


def complete_restore(home: Path) -> bool:
    """Does what the journal says; says whether there was one. Every step may be repeated.

    Raises:
        UnavailableError: something cannot be moved.
    """
    if not is_incomplete(home):
        return False
    try:
        _move(home, Journal.model_validate_json(_journal_file(home).read_bytes()))
    except OSError as exc:
        raise UnavailableError(
            f"A restore was interrupted and cannot be completed: {exc.filename} cannot be moved "
            f"({exc.strerror}).",
            fix="Check the disk and the rights of PILOTHOUSE_HOME, then try again.",
        ) from exc
    return True


def _move(home: Path, journal: Journal) -> None:
    aside, new = home / journal.aside, prepared(home)
    if journal.away:
        aside.mkdir(mode=0o700, exist_ok=True)
    for name in journal.away:
        # Once it is aside, what stands under its name is what was restored.
        if not lexists(aside / name) and lexists(home / name):
            (home / name).rename(aside / name)
    for name in journal.incoming:
        if lexists(new / name):
            (new / name).rename(home / name)
    if journal.away:
        sync_folder(aside)
    sync_folder(home)
    _journal_file(home).unlink()
    forget(home)


def _undo(home: Path, journal: Journal) -> None:
    """Moves everything back to where it was."""
    aside, new = home / journal.aside, prepared(home)
    for name in journal.incoming:
        if lexists(home / name) and not lexists(new / name):
            (home / name).rename(new / name)
    for name in journal.away:
        if lexists(aside / name):
            (aside / name).rename(home / name)
    with contextlib.suppress(OSError):
        aside.rmdir()
    sync_folder(home)
    _journal_file(home).unlink(missing_ok=True)
    forget(home)


def _journal_file(home: Path) -> Path:
    return home / STAGING / "journal.json"
