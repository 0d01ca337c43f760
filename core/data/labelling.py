"""Takes files of late labels: joined to batches or to answered predictions, counted, kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from core.adapters.database_batches import BatchRecords
from core.data.batch_files import LABEL
from core.data.given_file import shown_name
from core.data.label_files import read_labels
from core.data.label_join import LabelsReport, join, labels_sentence
from core.data.labels import SOURCE, LabelLog
from core.data.tables import ROW_ID
from core.deployment.inference_log import InferenceLog
from core.errors import NotFoundError
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
    trail: AuditTrail

    def add(self, problem: str, path: Path, *, actor: str) -> LabelsReport:
        """Takes a file of labels, wholly or not at all, and says what became of each.

        Labels of strangers are kept as well: their rows may still be on the way.

        Args:
            problem: name of the problem.
            path: CSV or Parquet, as ``read_labels`` says.
            actor: who gives it.

        Raises:
            NotFoundError: there is no such problem or file.
            InvalidInputError: the file cannot be used.
            DataContractError: values are wrong; every offence is named.
            UnavailableError: the labels cannot be written.
        """
        with self.trail.act(
            Action.LABELS_ADDED,
            actor=actor,
            object=f"file {shown_name(path.name)}",
            problem=problem,
        ) as act:
            require_problem(problem, self.problems)
            given = read_labels(path, self.problems[problem].contract)
            report = self._take(problem, given, actor)
            # What became of them is known only now. Given again, all of them are known
            # already, so whoever is told that this row cannot be written may simply repeat it.
            act.done(labels_sentence(report))
        return report

    def _take(self, problem: str, given: pa.Table, actor: str) -> LabelsReport:
        sources = pc.unique(given.column(SOURCE)).to_pylist()
        batches = [source for source in sources if self._is_batch(problem, source)]
        before = self._report(problem, sources, batches)
        self.labels.append(problem, given, by=actor)
        report = _less(self._report(problem, sources, batches), before)
        if report.joined:
            self.records.mark_labelled(batches, datetime.now(UTC))
        return report

    def _is_batch(self, problem: str, source: str) -> bool:
        try:
            return self.records.get(source).problem == problem
        except NotFoundError:
            return False

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
            answered = self.inference.window(problem, columns=[_REQUEST_ID, ROW_ID])
            labels = self.labels.labels(problem)
            reports.append(
                join(
                    answered.filter(pc.is_in(answered.column(_REQUEST_ID), others)),
                    labels.filter(pc.is_in(labels.column(SOURCE), others)),
                ).report
            )
        return _sum(reports)


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
