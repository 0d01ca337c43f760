"""Batches: rows that arrive together, checked at the door and kept as versions of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa

from core.adapters.database_batches import BatchRecords
from core.adapters.dvc import DataVersions
from core.data.batch_comparison import BatchComparison, compare_tables
from core.data.batch_files import batch_file, batches_folder
from core.data.given_file import open_given, receive, sha256_of, state_of
from core.data.incoming import Incoming, Preparation, disk_errors
from core.data.names import shown_name
from core.data.stored_rows import StoredRows
from core.data.turns import Turns, turns_folder
from core.domain import Batch
from core.errors import ConflictError, InvalidInputError, NotFoundError
from core.params_intake import IntakeParams
from core.problems import require_problem
from core.problems.contract import Contract, Problem
from core.promotion.act import Act
from core.promotion.audit import Action
from core.promotion.trail import AuditTrail
from core.wording import count

if TYPE_CHECKING:
    from core.data.batch_intake import Intake

#: What a batch is compared with when it is not another batch.
REFERENCE = "reference"
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
        trail: AuditTrail,
        limits: IntakeParams,
        reference: ReferenceRows | None = None,
    ) -> None:
        self._problems = problems
        self._records = records
        self._versions = versions
        self._home = home
        self._trail = trail
        self._limits = limits
        self._turns = Turns(turns_folder(home), limits)
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
            InvalidInputError: the file cannot be used, or is beyond one of the limits.
            DataContractError: its columns or values break the contract.
            ConflictError: as many files as may be are being taken in.
            UnavailableError: the database, DVC or the store does not take it.
        """
        shown = shown_name(name)
        with self._trail.act(
            Action.BATCH_ACCEPTED,
            actor=actor,
            object=f"file {shown}",
            problem=problem,
            refused=Action.BATCH_REFUSED,
        ) as act:
            contract = self._problem(problem).contract
            with (
                disk_errors("The batch"),
                self._turns.take(),
                self._incoming.prepare(problem, self._undo) as preparation,
            ):
                added = self._take(preparation, contract, given, shown, act, on_progress)
            if not added.is_new:
                act.action, act.object = Action.BATCH_RECOGNISED, f"batch {added.batch.id}"
                act.done(f"{shown} is the same file, sha256 {added.batch.sha256}.")
        return added

    def _take(
        self,
        preparation: Preparation,
        contract: Contract,
        given: Path | BinaryIO,
        shown: str,
        act: Act,
        on_progress: OnProgress,
    ) -> Added:
        # Pandera takes a second to import, and most processes take no batch in.
        from core.data.batch_intake import take_in

        path = given
        if not isinstance(path, Path):
            path = receive(path, preparation.folder / "given", shown, self._limits)
        opened = open_given(path, shown, self._limits)
        before = state_of(path)
        sha256 = sha256_of(path, lambda share: on_progress(_HASHED * share, "reading"))
        known = self._records.of_file(preparation.problem, sha256)
        if known is not None:
            return Added(known, is_new=False)
        rows, width = preparation.folder / "rows.parquet", _CHECKED - _HASHED
        intake = take_in(
            opened, contract, rows, lambda share: on_progress(_HASHED + width * share, "checking")
        )
        if state_of(path) != before:
            raise InvalidInputError(
                f"The file {shown} changed while it was read.",
                fix="Wait until it is written, then give it again.",
            )
        on_progress(_CHECKED, "storing")
        batch = self._store(preparation, rows, intake, shown, sha256, act)
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
            UnavailableError: its file is missing and the store that has it does not answer.
        """
        return self._stored(self._records.get(batch_id)).table(columns)

    def _stored(self, batch: Batch) -> StoredRows:
        return StoredRows(self._home, batch.problem, batch.id, self._versions.fetch)

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
        act: Act,
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
            added_by=act.actor,
            added_at=datetime.now(UTC),
            first_at=intake.first_at,
            last_at=intake.last_at,
            dropped=intake.dropped,
            findings=intake.findings,
        )
        told = f"{name}, {count(batch.rows, 'row')}, sha256 {sha256}, {batch.data_version}"
        act.object = f"batch {batch.id}"
        try:
            self._records.add(batch, act.done_with(told))
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
