"""Reads an archive to its end and believes nothing of it before."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Protocol

from pydantic import BaseModel, ValidationError

from core.backup.contents import PARAMS, below_home
from core.backup.deciding import flaws, objection_to_format
from core.backup.hashing import Tee, chunks
from core.backup.manifest import (
    DESCRIPTION_FILE,
    MANIFEST_FILE,
    Description,
    Manifest,
)
from core.errors import InvalidInputError, NotFoundError

#: No folder: nothing is unpacked by ``tarfile`` itself.
_NOWHERE = "/nowhere"
_LARGEST_PAGE = 256 << 20
_MOST_TOLD = 3
_BROKEN = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error)


@dataclass(frozen=True)
class Archive:
    """An archive that was read to its end and is what its manifest says."""

    description: Description
    manifest: Manifest
    sha256: str


class Taker(Protocol):
    """Takes what an archive holds."""

    def accept(self, description: Description) -> None:
        """Hears what the archive is, before anything else of it is read; may raise."""

    def open(self, member: str, mtime: float) -> BinaryIO:
        """A place for the bytes of a member."""


class OnlyLook:
    """Takes nothing."""

    def accept(self, description: Description) -> None:
        """Has no objection."""

    def open(self, member: str, mtime: float) -> BinaryIO:
        """A place for bytes that nobody wants."""
        return Path(os.devnull).open("wb")


def read_archive(path: Path, taker: Taker) -> Archive:
    """Reads an archive to its end and holds every member against its hash.

    What the taker was given counts only if this returns.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is not an archive, not whole, or holds what no backup holds.
        OSError: it cannot be read, or what it holds cannot be written.
    """
    digest = hashlib.sha256()
    try:
        file = path.open("rb")
    except FileNotFoundError as exc:
        raise NotFoundError(f"There is no file {path}.", fix="Name the backup.") from exc
    with file, _told_as_broken(path):
        unpacked = gzip.GzipFile(fileobj=Tee(file, digest), mode="rb")
        with tarfile.open(fileobj=unpacked, mode="r|") as tar:
            description, manifest, found = _read_members(tar, taker)
        # The checksum of the compressed stream stands at its end.
        for _ in chunks(unpacked):
            pass
        for chunk in chunks(file):
            digest.update(chunk)
    wrong = flaws(manifest, found, apart=(MANIFEST_FILE,))
    if wrong:
        raise _broken(path, "; ".join(wrong[:_MOST_TOLD]))
    return Archive(description, manifest, digest.hexdigest())


def _read_members(
    tar: tarfile.TarFile, taker: Taker
) -> tuple[Description, Manifest, dict[str, tuple[int, str]]]:
    found: dict[str, tuple[int, str]] = {}
    description: Description | None = None
    for header in tar:
        name = header.name
        _require_ordinary(header)
        if name in found:
            raise tarfile.ReadError(f"{name} is there twice")
        if description is None and name != DESCRIPTION_FILE:
            raise tarfile.ReadError("it does not begin with a description")
        content = tar.extractfile(header)
        assert content is not None  # noqa: S101 - an ordinary file has content
        if name in (DESCRIPTION_FILE, MANIFEST_FILE):
            page = _page(content, header)
            found[name] = (len(page), hashlib.sha256(page).hexdigest())
            if name == MANIFEST_FILE:
                assert description is not None  # noqa: S101 - it came first
                return description, Manifest.model_validate_json(page), found
            description = _described(page)
            taker.accept(description)
            continue
        if name != PARAMS and below_home(name) is None:
            raise tarfile.ReadError(f"{name!r} has no place in a backup")
        digest = hashlib.sha256()
        with taker.open(name, header.mtime) as place:
            for chunk in chunks(content):
                digest.update(chunk)
                place.write(chunk)
        found[name] = (header.size, digest.hexdigest())
    raise tarfile.ReadError("it has no manifest, so it was cut off")


def _require_ordinary(header: tarfile.TarInfo) -> None:
    """Refuses links, devices, folders, and names that lead elsewhere."""
    if not header.isreg() or header.issparse():
        raise tarfile.ReadError(f"{header.name!r} is not an ordinary file")
    # A second look beside ``below_home``: what Python learns of tricks is refused here.
    tarfile.data_filter(header, _NOWHERE)


def _page(content: IO[bytes], header: tarfile.TarInfo) -> bytes:
    if header.size > _LARGEST_PAGE:
        raise tarfile.ReadError(f"{header.name} is too large")
    return content.read()


class _Numbered(BaseModel):
    format: int
    pilothouse: str


def _described(page: bytes) -> Description:
    # A later format may have other fields: its number says what to do about it.
    numbered = _Numbered.model_validate_json(page)
    objection = objection_to_format(numbered.format, numbered.pilothouse)
    if objection is not None:
        raise InvalidInputError(objection.message, fix=objection.fix)
    return Description.model_validate_json(page)


@contextmanager
def _told_as_broken(path: Path) -> Iterator[None]:
    try:
        yield
    except ValidationError as exc:
        raise _broken(path, "its description or manifest cannot be read") from exc
    except _BROKEN as exc:
        raise _broken(path, str(exc) or type(exc).__name__) from exc


def _broken(path: Path, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"{path} is not a whole backup of Pilothouse: {why}.", fix="Use another backup."
    )
