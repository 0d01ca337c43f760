"""Takes files of late labels: joined to batches or to answered predictions, counted, kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from core.adapters.database_batches import BatchRecords
from core.data.batch_files import LABEL, batches_folder
from core.data.given_file import receive
from core.data.incoming import Incoming, Preparation, disk_errors
from core.data.label_files import read_labels
from core.data.label_join import LabelsReport, join, labels_sentence
from core.data.labels import SOURCE, LabelLog
from core.data.names import shown_name
from core.data.tables import ROW_ID
from core.data.turns import Turns, turns_folder
from core.deployment.inference_log import InferenceLog
from core.params_intake import IntakeParams
from core.problems import require_problem
from core.problems.contract import Problem
from core.promotion.audit import Action
from core.promotion.trail import AuditTrail

#: Some columns of the rows of a batch, by its id.
BatchRows = Callable[[str, Sequence[str]], pa.Table]
_REQUEST_ID = "request_id"


@dataclass(frozen=True)
class LabelService:
    """Late labels of every problem."""

    problems: Mapping[str, Problem]
    records: BatchRecords
    rows_of: BatchRows
    labels: LabelLog
    inference: InferenceLog
    home: Path
    limits: IntakeParams
    trail: AuditTrail

    def add(
        self, problem: str, given: Path | BinaryIO, *, actor: str, name: str = ""
    ) -> LabelsReport:
        """Takes a file of labels, wholly or not at all, and says what became of each.

        Labels of strangers are kept as well: their rows may still be on the way.

        Args:
            problem: name of the problem.
            given: CSV or Parquet, as ``read_labels`` says, or a stream of its bytes.
            actor: who gives it.
            name: what the file is called, for people; by default as it is on the disk.

        Raises:
            NotFoundError: there is no such problem or file.
            InvalidInputError: the file cannot be used, or is beyond one of the limits.
            DataContractError: values are wrong; every offence is named.
            ConflictError: as many files as may be are being taken in.
            UnavailableError: the labels cannot be written.
        """
        shown = shown_name(name or (given.name if isinstance(given, Path) else ""))
        with self.trail.act(
            Action.LABELS_ADDED, actor=actor, object=f"file {shown}", problem=problem
        ) as act:
            require_problem(problem, self.problems)
            with disk_errors("The file"), Turns(turns_folder(self.home), self.limits).take():
                report = self._take(problem, self._read(problem, given, shown), actor)
            # What became of them is known only now. Given again, all of them are known
            # already, so whoever is told that this row cannot be written may simply repeat it.
            act.done(labels_sentence(report))
        return report

    def _read(self, problem: str, given: Path | BinaryIO, shown: str) -> pa.Table:
        contract = self.problems[problem].contract
        if isinstance(given, Path):
            return read_labels(given, shown, contract, self.limits)
        incoming = Incoming(batches_folder(self.home) / "incoming-labels")
        with incoming.prepare(problem, _nothing_to_undo) as preparation:
            path = receive(given, preparation.folder / "given", shown, self.limits)
            return read_labels(path, shown, contract, self.limits)

    def _take(self, problem: str, given: pa.Table, actor: str) -> LabelsReport:
        sources = pc.unique(given.column(SOURCE)).to_pylist()
        # Asked for at once: a file may name as many requests as it has labels.
        known = self.records.ids(problem)
        batches = [source for source in sources if source in known]
        before = self._report(problem, sources, batches)
        self.labels.append(problem, given, by=actor)
        report = _less(self._report(problem, sources, batches), before)
        if report.joined:
            self.records.mark_labelled(batches, datetime.now(UTC))
        return report

    def _report(self, problem: str, sources: list[str], batches: list[str]) -> LabelsReport:
        """What has become so far of all labels of these sources."""
        reports = [
            join(
                self.rows_of(one, (ROW_ID, LABEL)),
                self.labels.labels_of(problem, one),
                source=one,
            ).report
            for one in batches
        ]
        others = pa.array([one for one in sources if one not in set(batches)], pa.string())
        if len(others):
            # Both may be long; what is not of these requests is left out while it is read.
            answered = self.inference.window(
                problem, columns=[_REQUEST_ID, ROW_ID], requests=others
            )
            labels = self.labels.labels(problem, sources=others)
            reports.append(join(answered, labels).report)
        return _sum(reports)


def _nothing_to_undo(preparation: Preparation) -> None:
    """Until they are read, labels are in the folder that is removed anyway, and nowhere else."""


def _sum(reports: list[LabelsReport]) -> LabelsReport:
    return LabelsReport(
        joined=sum(one.joined for one in reports),
        duplicates=sum(one.duplicates for one in reports),
        conflicts=sum(one.conflicts for one in reports),
        strangers=sum(one.strangers for one in reports),
    )


def _less(after: LabelsReport, before: LabelsReport) -> LabelsReport:
    return LabelsReport(
        joined=after.joined - before.joined,
        duplicates=after.duplicates - before.duplicates,
        conflicts=after.conflicts - before.conflicts,
        strangers=after.strangers - before.strangers,
    )
