"""DVC: the versions of batches and of training data, in repositories without Git.

DVC takes most of a second to import, so that is done when it is needed.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from core.adapters.dvc_remote import ENTRY, Remote, md5_of_entry
from core.errors import NotFoundError, PilothouseError, UnavailableError
from core.settings_store import S3Store

if TYPE_CHECKING:
    from dvc.repo import Repo

LOCK_TIMEOUT_S = 60.0
_POLL_S = 0.2
_T = TypeVar("_T")
# A file in the cache and its copy in place are one file on disk where that can be done;
# both are then read-only.
_CONFIG = """[core]
    no_scm = True
    analytics = false
    check_update = false
[cache]
    type = "reflink,hardlink,copy"
"""


class DataVersions:
    """Files below ``folder`` that DVC knows; any number of processes may add at once.

    With a store, each of them lies there as well, and a file that is missing here is read from
    there: what is in the folder is then a copy.
    """

    def __init__(
        self, folder: Path, store: S3Store | None = None, lock_timeout_s: float = LOCK_TIMEOUT_S
    ) -> None:
        self._folder = folder
        self._remote = Remote(store, folder) if store else None
        self._lock_timeout_s = lock_timeout_s

    def add(self, path: Path) -> str:
        """Takes a file below the folder into the cache and returns the MD5 that names it.

        With a store it is there when this returns; a file that the store does not take is gone.

        Raises:
            UnavailableError: the disk is full, the store does not take it, or DVC is kept busy
                by another process.
        """
        md5 = self._when_free(lambda repo: _add(repo, path))
        if self._remote is not None:
            try:
                # Nobody has to wait for this: the entry keeps its content in the cache.
                with self._opened() as repo:
                    self._remote.push(repo, path, md5)
            except BaseException:
                self._when_free(lambda repo: _forget(repo, path))
                raise
        return md5

    def knows(self, path: Path) -> bool:
        """Whether a file is in place and was taken, also by the store if there is one.

        Raises:
            UnavailableError: the store does not answer.
        """
        is_here = path.exists() and _entry_of(path).exists()
        return is_here and (self._remote is None or self._remote.has(path))

    def forget(self, path: Path) -> None:
        """Removes a file, what DVC knows of it, and its bytes unless another file has the same.

        Nor does anything have to be there whole: a process may have ended in the midst of
        adding. Of a file of which nothing is in the folder the store is not asked.

        Raises:
            UnavailableError: the store does not answer, or DVC is kept busy by another process.
        """
        if _entry_of(path).exists() or path.exists():
            self._when_free(lambda repo: _forget(repo, path, self._remote))

    def fetch(self, path: Path) -> None:
        """Brings a file that is missing in the folder from the store, if it is there.

        Raises:
            UnavailableError: the store does not answer, or the disk does not take it.
        """
        if self._remote is None or path.exists():
            return
        try:
            self._remote.fetch(path)
        except OSError as exc:
            raise _translated(exc) from exc

    def _when_free(self, act: Callable[[Repo], _T]) -> _T:
        """Does one thing in the repository once no other process works in it."""
        from dvc.lock import LockError

        deadline = time.monotonic() + self._lock_timeout_s
        while True:
            try:
                with self._opened() as repo:
                    return act(repo)
            except LockError as exc:
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        "Another process has kept the data versions busy for "
                        f"{self._lock_timeout_s:.0f} s.",
                        fix="Wait for it to end, then try again.",
                    ) from exc
                time.sleep(_POLL_S)

    @contextmanager
    def _opened(self) -> Iterator[Repo]:
        from dvc.exceptions import DvcException
        from dvc.lock import LockError
        from dvc.repo import Repo

        # Its progress bars and warnings are for people at its own command line.
        logging.getLogger("dvc").setLevel(logging.CRITICAL)
        try:
            self._create()
            told = dict(self._remote.config) if self._remote else {}
            own_state = {"site_cache_dir": str(self._folder / ".dvc" / "site")}
            told["core"] = {**told.get("core", {}), **own_state}
            with Repo(str(self._folder), config=told) as repo:
                yield repo
        except LockError:
            raise
        except (DvcException, OSError) as exc:
            raise _translated(exc) from exc

    def _create(self) -> None:
        """Does what `dvc init --no-scm` does; several processes may ask at once."""
        (self._folder / ".dvc").mkdir(parents=True, exist_ok=True)
        for name, text in ((".dvc/config", _CONFIG), (".dvcignore", "/incoming\n")):
            if not (self._folder / name).exists():
                new = self._folder / ".dvc" / f"new-{os.getpid()}-{time.monotonic_ns()}"
                new.write_text(text, encoding="utf-8")
                new.replace(self._folder / name)


def _add(repo: Repo, path: Path) -> str:
    from dvc.repo import lock_repo

    # What Repo.add does, but for reading every entry there is to see that no two overlap:
    # with a thousand of them that takes seconds.
    with lock_repo(repo):
        stage = repo.stage.create(
            single_stage=True,
            validate=False,
            fname=f"{path}.dvc",
            wdir=str(path.parent),
            outs=[path.name],
        )
        stage.add_outs()
        stage.dump()
    return str(stage.outs[0].hash_info.value)


def _entry_of(path: Path) -> Path:
    return path.with_name(path.name + ENTRY)


def _forget(repo: Repo, path: Path, remote: Remote | None = None) -> None:
    from dvc.repo import lock_repo

    entry = _entry_of(path)
    with lock_repo(repo):
        if remote is not None:
            # First, so that whoever finds the store down can try again later.
            others = (one for one in Path(repo.root_dir).rglob(f"*{ENTRY}") if one != entry)
            remote.remove(path, md5_of_entry(entry), {md5_of_entry(one) for one in others})
        entry.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        repo.gc(workspace=True)


def _translated(exc: Exception) -> PilothouseError:
    cause: Any = exc
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return UnavailableError("The disk is full.", fix="Free some space, then try again.")
        if isinstance(cause, FileNotFoundError):
            return NotFoundError("A file of the data versions is gone.", fix="Add it again.")
        cause = cause.__cause__ or cause.__context__
    return UnavailableError(
        "DVC cannot write the data version.",
        fix="Check the rights and the disk of PILOTHOUSE_HOME.",
    )
