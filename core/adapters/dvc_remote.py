"""Where the versions of a DVC repository lie as well: a folder of the S3 store.

DVC pushes an object there under its hash, ``files/md5/ab/cdef…``, as to any remote. Beside the
objects lies the entry of each file, the ``.dvc`` that its repository has of it, under the same
path. The entry is written last: whoever finds one may rely on the object. So a file can be had
from the store by its path alone, by a process that has no database and without DVC, and the
whole repository can be made anew from the store.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import time
import uuid
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from core.adapters.s3 import Bucket
from core.errors import NotFoundError, UnavailableError
from core.settings import leave_out_checksums
from core.settings_store import S3Store

if TYPE_CHECKING:
    from dvc.repo import Repo

_NAME = "store"
_FOLDER = "data-versions"
_AT_ONCE = 8
_MD5_DIGITS = 32
#: No file takes so long to come.
_ABANDONED_S = 24 * 3600.0
ENTRY = ".dvc"


class Remote:
    """The copy of one repository in the store."""

    def __init__(self, store: S3Store, repository: Path) -> None:
        self._store = store
        self._repository = repository
        self._folder = f"{_FOLDER}/{repository.name}"
        self._bucket = Bucket(store)
        leave_out_checksums()

    @property
    def config(self) -> Mapping[str, Any]:
        """What DVC has to be told; the key is in no file."""
        told = {
            "url": self._store.address_of(self._folder),
            "endpointurl": self._store.endpoint,
            "region": self._store.region,
            "access_key_id": self._store.key_id,
            "secret_access_key": self._store.secret,
            # DVC's own are a minute each.
            "connect_timeout": 5,
            "read_timeout": 30,
        }
        return {
            "core": {"remote": _NAME},
            "remote": {_NAME: {name: value for name, value in told.items() if value}},
        }

    def push(self, repo: Repo, path: Path, md5: str) -> None:
        """Copies what DVC's cache has of one file, and then its entry.

        Raises:
            UnavailableError: the store does not take it.
        """
        from dvc_data.hashfile.hash_info import HashInfo

        # DVC tries for long before it says that nobody is there.
        self._bucket.look()
        size = path.stat().st_size
        if self._bucket.size(self._object(md5)) not in (None, size):
            # DVC would take it for whole and never send it again.
            self._bucket.remove(self._object(md5))
        try:
            failed = repo.cloud.push([HashInfo("md5", md5)], remote=_NAME).failed
        except Exception as exc:  # what s3fs and its client raise is of many kinds
            raise self._not_taken() from exc
        if failed or self._bucket.size(self._object(md5)) != size:
            raise self._not_taken()
        entry = path.with_name(path.name + ENTRY)
        self._bucket.write(self._name(entry), entry.read_bytes())

    def has(self, path: Path) -> bool:
        """Whether a file is in the store, wholly.

        Raises:
            UnavailableError: the store does not answer.
        """
        return self._bucket.size(self._name(path.with_name(path.name + ENTRY))) is not None

    def remove(self, path: Path, md5: str, needed: Collection[str]) -> None:
        """Removes a file's entry, and its object unless another entry is of the same.

        Args:
            path: the file.
            md5: what the repository knows it under; empty where it does not.
            needed: what the repository needs for other files.

        Raises:
            UnavailableError: the store does not answer.
        """
        # Others wait meanwhile: where nobody is there, that is to be known soon.
        self._bucket.look()
        name = self._name(path.with_name(path.name + ENTRY))
        gone = {md5, _md5_in(self._bucket.read(name) or b"")} - {""}
        self._bucket.remove(name)
        gone -= {*needed}
        if gone:
            gone -= self._needed()
        for one in gone:
            self._bucket.remove(self._object(one))

    def fetch(self, path: Path) -> bool:
        """Brings a file that is missing back into place, with its entry; whether there was one.

        Raises:
            UnavailableError: the store does not answer, or what it has is another content.
            OSError: the disk does not take it.
        """
        entry = path.with_name(path.name + ENTRY)
        known = self._bucket.read(self._name(entry))
        md5 = _md5_in(known or b"")
        if known is None or not md5:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        try:
            with self._bucket.fetched(self._object(md5), path) as unborn:
                with unborn.open("rb") as content:
                    found = hashlib.file_digest(content, "md5").hexdigest()
                if found != md5:
                    raise UnavailableError(
                        f"What the S3 store has of {path.name} is not what was stored.",
                        fix="Bring back an earlier version of that object (docs/object-store.md).",
                    )
        except NotFoundError:
            return False
        if not entry.exists():
            draft = entry.with_name(f".{entry.name}.{uuid.uuid4().hex}")
            draft.write_bytes(known)
            draft.replace(entry)
        return True

    def _needed(self) -> set[str]:
        """What the entries in the store name."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            entries = pool.map(self._bucket.read, self._bucket.names(self._folder, ENTRY))
        return {md5 for entry in entries if (md5 := _md5_in(entry or b""))}

    def _not_taken(self) -> UnavailableError:
        return UnavailableError(
            f"The S3 store of {self._store.place} has not taken the rows.",
            fix="Check its space and its log, then try again.",
        )

    def _name(self, path: Path) -> str:
        return f"{self._folder}/{path.relative_to(self._repository).as_posix()}"

    def _object(self, md5: str) -> str:
        return f"{self._folder}/files/md5/{md5[:2]}/{md5[2:]}"


def _remove_abandoned(path: Path) -> None:
    """Removes what processes left that were killed while they fetched the file."""
    before = time.time() - _ABANDONED_S
    for unborn in path.parent.glob(f".{glob.escape(path.name)}.*"):
        with contextlib.suppress(FileNotFoundError):
            # Of somebody who fetches just now it is younger.
            if unborn.stat().st_mtime < before:
                unborn.unlink()


def md5_of_entry(entry: Path) -> str:
    """What an entry names; empty where it is none, or was cut off."""
    try:
        return _md5_in(entry.read_bytes())
    except (FileNotFoundError, IsADirectoryError):
        return ""


def _md5_in(entry: bytes) -> str:
    try:
        outs = yaml.safe_load(entry)["outs"]
        md5 = outs[0]["md5"]
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError, IndexError):
        return ""
    # A cut-off entry may end in the midst of it.
    return md5 if isinstance(md5, str) and len(md5) == _MD5_DIGITS else ""
