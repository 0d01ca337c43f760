"""Writes an archive: a compressed tar file, as a stream, with a hash of each member.

Plain tools open it (``tar xzf``). A member is an ordinary file and nothing else: no link, no
device, no folder. Bytes that are there twice, such as a batch and its copy in DVC's cache, are
stored once.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path
from typing import BinaryIO, Self

from core.backup.hashing import Tee, chunks
from core.backup.manifest import MANIFEST_FILE, WRITABLE, Manifest, Member
from core.errors import ConflictError

#: A file up to this is read before its size is told, so that it may change meanwhile.
_AT_ONCE = 8 << 20
#: Below this a file that is there twice is not worth looking for.
_WORTH_SHARING = 16 << 10
#: Databases and text shrink by it to a third; a higher level takes the services' time.
_LEVEL = 1


class ArchiveWriter:
    """Writes an archive into an open file, member after member.

    A block of it that is left by an error leaves what cannot be read as an archive.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._digest = hashlib.sha256()
        self._gzip = gzip.GzipFile(
            filename="",
            mode="wb",
            compresslevel=_LEVEL,
            fileobj=Tee(file, self._digest),
            mtime=0,
        )
        self._tar = tarfile.open(  # noqa: SIM115 - closed by ``close`` or at the block's end
            fileobj=self._gzip, mode="w|", format=tarfile.PAX_FORMAT
        )
        self.members: list[Member] = []
        self._names: set[str] = set()
        self._sizes: set[int] = set()
        self._stored: dict[tuple[int, str], str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # After an error the disk may take no more; what was written counts for nothing.
        with contextlib.suppress(OSError, ValueError):
            self._tar.close()
        with contextlib.suppress(OSError, ValueError):
            self._gzip.close()

    def add_bytes(self, name: str, content: bytes, mode: int = 0o600) -> None:
        """Adds a member from memory."""
        self._store(name, io.BytesIO(content), _header(name, len(content), mode))

    def add_file(self, name: str, path: Path) -> bool:
        """Adds a file; says whether it is still there and an ordinary file.

        Raises:
            ConflictError: it became shorter while it was read.
            OSError: it cannot be read, or the archive cannot be written.
        """
        if name in self._names:
            return True
        try:
            # Without waiting: a pipe would not be opened before somebody writes to it.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            return False
        with os.fdopen(descriptor, "rb") as file:
            mode, mtime = stat.S_IMODE(found.st_mode), found.st_mtime
            if found.st_size <= _AT_ONCE:
                content = file.read(_AT_ONCE)
                file, size = io.BytesIO(content), len(content)  # type: ignore[assignment]
            else:
                size = found.st_size
            if not self._share(name, file, size, mode):
                file.seek(0)
                self._store(name, file, _header(name, size, mode, mtime))
        return True

    def close(self) -> str:
        """Ends the archive with its manifest; returns the archive's SHA-256."""
        page = Manifest(members=tuple(self.members)).model_dump_json().encode()
        header = _header(MANIFEST_FILE, len(page), 0o600)
        self._tar.addfile(header, io.BytesIO(page))
        self._tar.close()
        self._gzip.close()
        return self._digest.hexdigest()

    def _share(self, name: str, file: BinaryIO, size: int, mode: int) -> bool:
        """Notes that a file's bytes are stored already; says whether they are."""
        # What nobody may write to is one file again when it is restored: always worth it.
        least = _WORTH_SHARING if mode & WRITABLE else 1
        if size < least or size not in self._sizes:
            return False
        digest = hashlib.sha256()
        for chunk in chunks(file):
            digest.update(chunk)
        known = self._stored.get((size, digest.hexdigest()))
        if known is None:
            return False
        self._note(
            Member(name=name, size=size, sha256=digest.hexdigest(), mode=mode, same_as=known)
        )
        return True

    def _store(self, name: str, file: BinaryIO, header: tarfile.TarInfo) -> None:
        digest = hashlib.sha256()
        source = Tee(file, digest)
        try:
            self._tar.addfile(header, source)
        except OSError as exc:
            if source.count < header.size and "unexpected end" in str(exc):
                raise ConflictError(
                    f"{name} became shorter while it was backed up.", fix="Try again."
                ) from exc
            raise
        stored = Member(name=name, size=header.size, sha256=digest.hexdigest(), mode=header.mode)
        self._note(stored)
        self._sizes.add(stored.size)
        self._stored.setdefault((stored.size, stored.sha256), name)

    def _note(self, member: Member) -> None:
        self._names.add(member.name)
        self.members.append(member)


def _header(name: str, size: int, mode: int, mtime: float = 0.0) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode, header.mtime = size, mode, int(mtime)
    return header
