"""Puts what an archive holds below a folder that is to become the home."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from core.backup.archive_reading import Archive
from core.backup.contents import below_home
from core.backup.manifest import DESCRIPTION_FILE, WRITABLE, Description

#: Parameters of the time of the backup, where they are not those of today; to be read.
OLD_PARAMS = "params-of-backup.yaml"


class Unpacking:
    """Puts members where they belong below a folder that is to become the home."""

    def __init__(self, folder: Path, accept: Callable[[Description], None]) -> None:
        self._folder = folder
        self._accept = accept
        self._mtimes: dict[str, float] = {}

    def accept(self, description: Description) -> None:
        """Hands on what the archive is."""
        self._accept(description)

    def open(self, member: str, mtime: float) -> BinaryIO:
        """A new file for the bytes of a member."""
        place = self._place(member)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._mtimes[member] = mtime
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(place, flags, 0o600), "wb")

    def finish(self, archive: Archive) -> None:
        """Puts files that are there twice in both places, and gives each its rights and time."""
        modes = {member.name: member.mode for member in archive.manifest.members}
        for member in archive.manifest.members:
            if member.name == DESCRIPTION_FILE:
                continue
            place = self._place(member.name)
            if member.same_as:
                place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                # What nobody writes to may be one file under both names, as in DVC's cache.
                link = not (member.mode | modes[member.same_as]) & WRITABLE
                _same(self._place(member.same_as), place, link=link)
            time_s = self._mtimes[member.same_as or member.name]
            os.utime(place, (time_s, time_s))
            place.chmod(member.mode & 0o755)

    def _place(self, member: str) -> Path:
        """Where a member belongs; the reader has refused what belongs nowhere."""
        below = below_home(member)
        return self._folder / (OLD_PARAMS if below is None else below)


def _same(there: Path, place: Path, *, link: bool) -> None:
    if link:
        try:
            os.link(there, place)
        except OSError:
            link = False
    if not link:
        shutil.copyfile(there, place)
