"""Batches: rows that arrive together, checked at the door and kept as versions of data."""

from __future__ import annotations

import hashlib
import shutil
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa

from core.adapters.database_batches import BatchRecords
from core.adapters.dvc import DataVersions
from core.data.batch_comparison import BatchComparison, compare_tables
from core.data.batch_files import batch_file, batches_folder
from core.data.given_file import open_given
from core.data.incoming import Incoming, Preparation
from core.data.stored_rows import StoredRows
from core.domain import Batch
from core.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from core.problems import require_problem
from core.problems.contract import Problem

if TYPE_CHECKING:
    from core.data.batch_intake import Intake

#: Largest file that is taken: 1 GiB.
MAX_BYTES = 1 << 30
#: What a batch is compared with when it is not another batch.
REFERENCE = "reference"
_COPY_BYTES = 1 << 20
_LONGEST_NAME = 200
#: Shares of the whole work after which hashing and checking are done.
_HASHED, _CHECKED = 0.08, 0.95

#: Hears the share of the work that is done, from 0 to 1, and what is being done.
OnProgress = Callable[[float, str], None]
#: Gives the rows that a problem's version in production is watched against.
ReferenceRows = Callable[[str], pa.Table]


@dataclass(frozen=True)
class Added:
    """A batch that is stored; not new if the same file had been given before."""

    batch: Batch
    is_new: bool


class BatchService:
    """Takes batches in and gives them out again."""

    def __init__(
        self,
        problems: Mapping[str, Problem],
        records: BatchRecords,
        versions: DataVersions,
        home: Path,
        reference: ReferenceRows | None = None,
    ) -> None:
        self._problems = problems
        self._records = records
        self._versions = versions
        self._home = home
        self._reference = reference
        self._incoming = Incoming(batches_folder(home) / "incoming")

    def add(
        self,
        problem: str,
        given: Path | BinaryIO,
        *,
        name: str,
        actor: str,
        on_progress: OnProgress = lambda share, doing: None,
    ) -> Added:
        """Checks a CSV or Parquet file against the contract and stores its rows.

        Memory stays bounded whatever the size of the file. A refused file leaves nothing
        behind, and so does a process that is killed, once the next batch is added. The same
        bytes twice are one batch.

        Args:
            problem: name of the problem.
            given: the file, or a stream of its bytes.
            name: what the file is called, for people.
            actor: who gives it.
            on_progress: hears how far it is; what it raises ends the work.

        Raises:
            NotFoundError: there is no such problem or file.
            InvalidInputError: the file cannot be used.
            DataContractError: its columns or values break the contract.
            UnavailableError: the database or DVC does not take it.
        """
        # Pandera takes a second to import, and most processes take no batch in.
        from core.data.batch_intake import take_in

        contract = self._problem(problem).contract
        shown = _shown_name(name)
        with _disk_errors(), self._incoming.prepare(problem, self._undo) as preparation:
            path = given if isinstance(given, Path) else _receive(given, preparation)
            opened = open_given(path, shown, MAX_BYTES)
            before = _state_of(path)
            sha256 = _sha256(path, lambda share: on_progress(_HASHED * share, "reading"))
            known = self._records.of_file(problem, sha256)
            if known is not None:
                return Added(known, is_new=False)
            rows = preparation.folder / "rows.parquet"
            width = _CHECKED - _HASHED
            intake = take_in(
                opened,
                contract,
                rows,
                lambda share: on_progress(_HASHED + width * share, "checking"),
            )
            if _state_of(path) != before:
                raise InvalidInputError(
                    f"The file {shown} changed while it was read.",
                    fix="Wait until it is written, then give it again.",
                )
            on_progress(_CHECKED, "storing")
            batch = self._store(preparation, rows, intake, shown, sha256, actor)
            on_progress(1.0, "stored")
        return Added(batch, is_new=batch.id == preparation.batch_id)

    def list(self, problem: str, limit: int = 100) -> tuple[Batch, ...]:
        """Batches of a problem, newest first.

        Raises:
            NotFoundError: there is no such problem.
        """
        return self._records.list(self._problem(problem).name, limit)

    def get(self, batch_id: str) -> Batch:
        """Reads one batch.

        Raises:
            NotFoundError: there is no such batch.
        """
        return self._records.get(batch_id)

    def rows(self, batch_id: str, columns: Sequence[str] | None = None) -> pa.Table:
        """These columns of the rows of a batch, or all, as ``batch_files`` says.

        Raises:
            NotFoundError: there is no such batch, or its file is gone.
        """
        return self._stored(self._records.get(batch_id)).table(columns)

    def _stored(self, batch: Batch) -> StoredRows:
        return StoredRows(self._home, batch.problem, batch.id)

    def compare(self, batch_id: str, other: str) -> BatchComparison:
        """Holds a batch against another one, or against the ``reference``, column by column.

        The other comes first: it is what the bins of numbers are made of.

        Raises:
            NotFoundError: there is no such batch, or no reference.
            InvalidInputError: the batches are of different problems.
        """
        batch = self._records.get(batch_id)
        contract = self._problem(batch.problem).contract
        if other == REFERENCE:
            return compare_tables(self._reference_of(batch.problem), self._stored(batch), contract)
        held_against = self._records.get(other)
        if held_against.problem != batch.problem:
            raise InvalidInputError(
                f"Batch {batch.id} is of {batch.problem} and batch {held_against.id} of "
                f"{held_against.problem}.",
                fix="Compare batches of one problem.",
            )
        return compare_tables(self._stored(held_against), self._stored(batch), contract)

    def _reference_of(self, problem: str) -> pa.Table:
        if self._reference is None:
            raise NotFoundError(
                f"There is no reference of {problem} here.", fix="Compare with another batch."
            )
        return self._reference(problem)

    def _problem(self, name: str) -> Problem:
        require_problem(name, self._problems)
        return self._problems[name]

    def _store(
        self,
        preparation: Preparation,
        rows: Path,
        intake: Intake,
        name: str,
        sha256: str,
        actor: str,
    ) -> Batch:
        """Moves the rows into place, makes them a version of DVC and records the batch."""
        place = batch_file(self._home, preparation.problem, preparation.batch_id)
        place.parent.mkdir(parents=True, exist_ok=True)
        rows.replace(place)
        md5 = self._versions.add(place)
        batch = Batch(
            id=preparation.batch_id,
            problem=preparation.problem,
            name=name,
            sha256=sha256,
            data_version=f"md5:{md5}",
            rows=intake.rows,
            given_labels=intake.given_labels,
            added_by=actor,
            added_at=datetime.now(UTC),
            first_at=intake.first_at,
            last_at=intake.last_at,
            dropped=intake.dropped,
            findings=intake.findings,
        )
        try:
            self._records.add(batch)
        except ConflictError:
            # Somebody gave the same file at the same time and was first.
            first = self._records.of_file(batch.problem, sha256)
            if first is None:
                raise
            self._undo(preparation)
            return first
        return batch

    def _undo(self, preparation: Preparation) -> None:
        """Removes what was stored of a batch that was never recorded."""
        try:
            self._records.get(preparation.batch_id)
        except NotFoundError:
            self._versions.forget(batch_file(self._home, preparation.problem, preparation.batch_id))


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise UnavailableError(
            f"The batch cannot be stored ({exc.strerror or type(exc).__name__}).",
            fix="Check the disk and the rights of PILOTHOUSE_HOME.",
        ) from exc


def _receive(given: BinaryIO, preparation: Preparation) -> Path:
    """Puts the bytes of a stream into a file that is gone with the preparation."""
    path = preparation.folder / "given"
    with path.open("wb") as file:
        shutil.copyfileobj(given, file, _COPY_BYTES)
    return path


def _sha256(path: Path, on_share: Callable[[float], None]) -> str:
    digest, read, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        # No further than its size of now: somebody may be writing to it.
        while read < size and (chunk := file.read(_COPY_BYTES)):
            digest.update(chunk)
            read += len(chunk)
            on_share(min(1.0, read / size))
    return digest.hexdigest()


def _state_of(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _shown_name(name: str) -> str:
    """A name for people: one line of text that can be stored and printed."""
    storable = name.encode("utf-8", "replace").decode("utf-8")
    printed = "".join(
        "�" if unicodedata.category(sign).startswith("C") else sign for sign in storable
    )
    return printed.strip()[:_LONGEST_NAME] or "without a name"
