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

from core.errors import NotFoundError, PilothouseError, UnavailableError

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
    """Files below ``folder`` that DVC knows; any number of processes may add at once."""

    def __init__(self, folder: Path, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self._folder = folder
        self._lock_timeout_s = lock_timeout_s

    def add(self, path: Path) -> str:
        """Takes a file below the folder into the cache and returns the MD5 that names it.

        Raises:
            UnavailableError: the disk is full, or DVC is kept busy by another process.
        """
        return self._when_free(lambda repo: _add(repo, path))

    def forget(self, path: Path) -> None:
        """Removes a file, what DVC knows of it, and its bytes unless another file has the same.

        Nor does anything have to be there whole: a process may have ended in the midst of
        adding.

        Raises:
            UnavailableError: DVC is kept busy by another process.
        """
        entry = path.with_name(f"{path.name}.dvc")
        if entry.exists() or path.exists():
            self._when_free(lambda repo: _forget(repo, path, entry))

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
            own_state = {"core": {"site_cache_dir": str(self._folder / ".dvc" / "site")}}
            with Repo(str(self._folder), config=own_state) as repo:
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


def _forget(repo: Repo, path: Path, entry: Path) -> None:
    from dvc.repo import lock_repo

    with lock_repo(repo):
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
