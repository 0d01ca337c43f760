"""What runs were trained on: one file a content, in a DVC repository without Git.

A file is named by its MD5, the hash that is a run's ``data_version``, so data that is known
already costs no more than reading it once.
"""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from pathlib import Path
from typing import Protocol

from core.data.tables import file_md5

LOG = logging.getLogger(__name__)
_FOLDER = "training-data"
#: No copy takes so long: what is older was left by a process that was killed.
_ABANDONED_S = 24 * 3600.0


class Versions(Protocol):
    """Where files become versions of data."""

    def add(self, path: Path) -> str:
        """Takes a file into the cache and returns the MD5 that names it."""

    def knows(self, path: Path) -> bool:
        """Whether a file is in place and was taken, wherever it has to be."""


def training_data_folder(home: Path) -> Path:
    """The DVC repository, without Git, of what runs were trained on."""
    return home / _FOLDER


class TrainingDataStore:
    """Training data of an installation; any number of runs may add at once."""

    def __init__(self, home: Path, versions: Versions) -> None:
        self._home = home
        self._versions = versions

    def keep(self, problem: str, rows: Path) -> str:
        """Gives the rows of a run to DVC, unless it has them, and returns their file below home.

        The file is a copy: the run's workspace may be removed, and what is written there
        does not reach DVC's cache.

        Raises:
            UnavailableError: the disk is full, the store does not take them, or DVC is kept
                busy by another process.
            OSError: the rows cannot be copied.
        """
        place = training_data_folder(self._home) / problem / f"{file_md5(rows)}.parquet"
        _remove_abandoned(place.parent)
        if not self._versions.knows(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            unborn = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
            try:
                shutil.copyfile(rows, unborn)
                unborn.replace(place)
            finally:
                unborn.unlink(missing_ok=True)
            self._versions.add(place)
        return str(place.relative_to(self._home))

    def try_to_keep(self, problem: str, rows: Path) -> str:
        """The same; empty where it cannot be done, because no run is to be lost by that."""
        try:
            return self.keep(problem, rows)
        except Exception:
            LOG.exception("DVC has no copy of the training data")
            return ""


def _remove_abandoned(folder: Path) -> None:
    """Removes copies that were begun and never became a file of the store."""
    before = time.time() - _ABANDONED_S
    for unborn in folder.glob(".*.parquet.*"):
        try:
            if unborn.stat().st_mtime < before:
                unborn.unlink(missing_ok=True)
        except FileNotFoundError:
            # It was born, or another run removed it.
            continue
