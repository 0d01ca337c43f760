"""Puts a backup in the place of what is in the home, wholly or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from core.backup import swap
from core.backup.archive_reading import Archive, read_archive
from core.backup.contents import ANCHOR, AUDIT_KEY, DATABASE
from core.backup.deciding import (
    Objection,
    Ours,
    Situation,
    in_the_way,
    objection_to_archive,
    objection_to_situation,
)
from core.backup.manifest import Description
from core.backup.places import address_of_store, require_own_database
from core.backup.unpacking import OLD_PARAMS, Unpacking
from core.errors import ConflictError, InvalidInputError, RefusedError, UnavailableError
from core.kept_files import write_durably
from core.promotion.audit_verify import Kind as FindingKind
from core.promotion.trail import Verification
from core.services.alone import alone
from core.services.layout import Layout
from core.settings import Settings
from core.wording import clock, count

Say = Callable[[str], None]
#: Finds what of the installation runs, in words.
FindRunning = Callable[[], Sequence[str]]
#: Brings the database of a prepared state, which these settings name, to this release's schema,
#: looks at its audit trail, and records there what is told.
Sign = Callable[[Settings, str], Verification]


@dataclass(frozen=True)
class Restored:
    """What became of a restore."""

    archive: Archive
    #: Where the state before lies; ``None`` where there was none.
    aside: Path | None
    #: What is to be known about it, as sentences.
    remarks: tuple[str, ...]


class RestoreService:
    """Restores backups into one home; needs nothing of what is there."""

    def __init__(
        self,
        settings: Settings,
        layout: Layout,
        ours: Ours,
        running: FindRunning,
        sign: Sign,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._layout = layout
        self._home = settings.home
        self._ours = ours
        self._running = running
        self._sign = sign
        self._clock = clock

    def restore(self, file: Path, *, replace: bool, say: Say = lambda _: None) -> Restored:
        """Unpacks beside what is there, holds all against its hashes, then changes places.

        Until the last step nothing of what is there is touched, and that step is renames
        alone, which whoever comes next completes if this process is killed.

        Args:
            file: the backup.
            replace: whether what is there may be moved aside.
            say: told what is being done.

        Raises:
            ConflictError: services run, something is in the way, or the backup is not for here.
            InvalidInputError: the file is not a whole backup.
            NotFoundError: there is no such file.
            SetupError: the settings name another database than the home's, or the home cannot
                be written.
            RefusedError: the key of the audit trail is missing, or is another one.
            UnavailableError: the disk is full, or something cannot be moved.
        """
        require_own_database(self._settings)
        self._layout.prepare()
        with alone(self._layout), _disk_errors():
            swap.complete_restore(self._home)
            new = swap.begin(self._home)
            try:
                return self._restore(file, new, replace=replace, say=say)
            finally:
                # With a journal it has happened, and what is left to do is done by the next.
                if not swap.is_incomplete(self._home):
                    swap.forget(self._home)

    def _restore(self, file: Path, new: Path, *, replace: bool, say: Say) -> Restored:
        away: tuple[str, ...] = ()

        def accept(description: Description) -> None:
            nonlocal away
            _refuse(objection_to_archive(description, self._ours))
            away = self._make_room(replace=replace, with_secrets=description.with_secrets)

        say("checking and unpacking")
        unpack = Unpacking(new, accept)
        archive = read_archive(file, unpack)
        unpack.finish(archive)
        if not (new / DATABASE).is_file():
            raise InvalidInputError(f"{file} holds no database.", fix="Use another backup.")
        key = _key_for(self._settings, new)
        aside = swap.aside_of(self._home, self._clock()) if away else ""
        say("bringing the database up to date")
        found = self._sign(self._staged(new), _told(file, archive, aside))
        if any(finding.kind is FindingKind.FOREIGN_KEY for finding in found.findings):
            raise RefusedError(
                f"The audit trail of the backup was not written under the key in {key}.",
                fix="Put the key of the time there, or name its file with "
                "PILOTHOUSE_AUDIT_KEY_FILE.",
            )
        remarks = self._remarks(archive, found, new)
        self._place_by_settings(new, with_secrets=archive.description.with_secrets)
        say("changing places")
        os.sync()
        # Unpacking may have taken minutes, in which a command may have begun.
        _refuse(objection_to_situation(Situation(self._running(), (), (), replace)))
        swap.put_in_place(self._home, aside, away)
        return Restored(archive, self._home / aside if aside else None, remarks)

    def _make_room(self, *, replace: bool, with_secrets: bool) -> tuple[str, ...]:
        """The entries of the home that have to go.

        Raises:
            ConflictError: services run, or something may not or cannot be moved.
        """
        names = [path.name for path in self._home.iterdir() if not _is_empty_folder(path)]
        away = in_the_way(names, with_secrets=with_secrets)
        now = Situation(
            running=self._running(),
            present=[name for name in away if _has_bytes(self._home / name)],
            immovable=[name for name in away if os.path.ismount(self._home / name)],
            replace=replace,
        )
        _refuse(objection_to_situation(now))
        return away

    def _staged(self, new: Path) -> Settings:
        """The settings under which the prepared state is an installation."""
        own: dict[str, object] = {"home": new, "audit_key_file": "", "audit_anchor_file": ""}
        # The database's address may name the file that is replaced.
        own |= {"database_url": SecretStr(""), "database_url_file": ""}
        return self._settings.model_copy(update=own)

    def _remarks(self, archive: Archive, found: Verification, new: Path) -> tuple[str, ...]:
        """What is to be known about what was restored; old parameters stay if they differ."""
        description, anchor = archive.description, self._settings.audit_anchor
        said = [
            f"Accounts, keys and decisions are those of {clock(description.made_at)}: remove and "
            "revoke again what was since."
        ]
        said += [f"The audit trail was backed up so: {one.text}" for one in found.findings]
        if _is_outside(self._settings, anchor) and anchor.exists():
            said.append(
                f"The anchor {anchor} was left as it is: `pilothouse audit verify` finds the rows "
                "since the backup missing, until `pilothouse audit anchor` sets it anew."
            )
        if description.absent:
            said.append(f"Not in the backup: {', '.join(description.absent)}.")
        said += _told_of_store(description.store, address_of_store(self._settings))
        if description.artifacts_elsewhere:
            said.append(
                "Artifacts that do not lie behind MLflow's server are no part of the backup, "
                f"such as {description.artifacts_elsewhere[0]}."
            )
        old, today = new / OLD_PARAMS, self._settings.params_file
        if old.exists() and today.exists() and old.read_bytes() == today.read_bytes():
            old.unlink()
        elif old.exists():
            said.append(f"The parameters of the time differ from today's: see {OLD_PARAMS}.")
        return tuple(said)

    def _place_by_settings(self, new: Path, *, with_secrets: bool) -> None:
        """Puts key and anchor where the settings name other files than those of the home.

        What is there outside the home stays as it is: an anchor is there to show that a trail
        was turned back, and the key is the same.
        """
        for member, place in (
            (AUDIT_KEY, self._settings.audit_key),
            (ANCHOR, self._settings.audit_anchor),
        ):
            brought = new / member
            if place == self._home / member or not brought.exists():
                continue
            if not _is_outside(self._settings, place):
                write_durably(new / place.relative_to(self._home), brought.read_bytes())
            elif not place.exists():
                write_durably(place, brought.read_bytes())
            brought.unlink()
        if not with_secrets:
            # Those that are there stay.
            shutil.rmtree(new / "secrets", ignore_errors=True)


def _key_for(settings: Settings, new: Path) -> Path:
    """Sees to it that a prepared state has the key of its trail; returns where that is known.

    Raises:
        RefusedError: it is in neither place, or another one is where the settings name it.
    """
    brought, place = new / AUDIT_KEY, settings.audit_key
    if not brought.exists():
        if not place.exists():
            raise RefusedError(
                f"The backup holds no secrets, and the key of the audit trail is not at {place}.",
                fix="Put it there, or name its file with PILOTHOUSE_AUDIT_KEY_FILE.",
            )
        write_durably(brought, place.read_bytes())
    is_another = _is_outside(settings, place) and place.exists()
    if is_another and place.read_bytes() != brought.read_bytes():
        raise RefusedError(
            f"The key of the audit trail in {place} is not the one of the backup.",
            fix="Name the right file with PILOTHOUSE_AUDIT_KEY_FILE, or none.",
        )
    return place


def _told_of_store(theirs: str, ours: str) -> list[str]:
    """What is to be known of the S3 store of a backup and of the one that is set."""
    if theirs == ours:
        kept = f"What lies in the S3 store {theirs} is no part of the backup and is as it was."
        return [kept] if theirs else []
    now = f"PILOTHOUSE_STORE_URL names {ours}" if ours else "PILOTHOUSE_STORE_URL is not set"
    if not theirs:
        return [f"The backup was made without an S3 store, and {now}: unset it, or move the data."]
    return [f"Artifacts and data of the backup lie in the S3 store {theirs}, and {now}."]


def _is_outside(settings: Settings, file: Path) -> bool:
    return not file.is_relative_to(settings.home)


def _told(file: Path, archive: Archive, aside: str) -> str:
    before = f"what was there is in {aside}" if aside else "nothing was there"
    return (
        f"{file.name} of {clock(archive.description.made_at)}, sha256 {archive.sha256}, "
        f"{count(len(archive.manifest.members), 'file')}; {before}."
    )


def _refuse(objection: Objection | None) -> None:
    if objection is not None:
        raise ConflictError(objection.message, fix=objection.fix)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _has_bytes(path: Path) -> bool:
    """Whether a file, or one below a folder, has any content; locks have none."""
    if not path.is_dir():
        return path.lstat().st_size > 0
    return any(
        Path(folder, name).lstat().st_size > 0
        for folder, _, names in os.walk(path)
        for name in names
    )


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise UnavailableError(
            f"The restore failed at {exc.filename} ({exc.strerror or type(exc).__name__}), and all "
            "is as it was.",
            fix="Check the disk and the rights of PILOTHOUSE_HOME, then try again.",
        ) from exc
