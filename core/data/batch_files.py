"""Where the rows of a batch lie, and what their columns are called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

#: Brings a file that is missing in the home from where a copy of it lies.
Fetch = Callable[[Path], None]

#: When a row happened: timestamp in microseconds, UTC.
AT = "at"
#: 0.0 or 1.0, null where the label is not known.
LABEL = "label"


def batches_folder(home: Path) -> Path:
    """The DVC repository, without Git, that holds every accepted batch."""
    return home / "batches"


def batch_file(home: Path, problem: str, batch_id: str) -> Path:
    """The Parquet file of one batch: ``row_id``, the contract's fields, ``label``, ``at``.

    ``row_id`` is the row's index in the given file. ``at`` is there where the contract names
    a timestamp. Numbers are float64, categories text, null where missing.
    """
    return batches_folder(home) / problem / f"{batch_id}.parquet"


def only_here(file: Path) -> None:
    """The ``Fetch`` of an installation whose home has the only copy."""


def local_batch_file(home: Path, problem: str, batch_id: str, fetch: Fetch = only_here) -> Path:
    """The same file, brought into the home where it is missing; it may be nowhere.

    Raises:
        UnavailableError: the copy cannot be had.
    """
    file = batch_file(home, problem, batch_id)
    fetch(file)
    return file
