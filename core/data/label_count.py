"""Late labels that came by HTTP: what became of them, for the audit trail and for metrics.

Replicas never open the database and do not know what the others have answered, so the worker
joins what they took in to the inference log and writes one row for each problem and look,
under the time up to which it has looked. That time is where the next look goes on: a worker
that dies before the row is written leaves the labels to the next.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from core.data.batch_files import AT
from core.data.label_join import FATE, Fate, LabelsReport, join, labels_sentence, report_of
from core.data.labels import BY, BY_HTTP, SOURCE, LabelLog
from core.data.tables import ROW_ID
from core.deployment.inference_log import REQUEST_ID, InferenceLog
from core.deployment.metrics import Family, Sample
from core.deployment.request_ids import made_at
from core.promotion.audit import Action, AuditRow, Chosen
from core.promotion.identity import WORKER
from core.promotion.trail import AuditTrail
from core.wording import count

#: A label is judged so long after its prediction may have been a flush behind: a replica that
#: could not write tries again at each flush.
_SPARE = timedelta(seconds=30)


def last_look(trail: AuditTrail, problem: str) -> AuditRow | None:
    """The newest row that tells of labels by HTTP; ``None`` where none have come.

    Raises:
        UnavailableError: the database does not answer.
    """
    told = Chosen(problem=problem, actor=WORKER, action=Action.LABELS_ADDED)
    rows = trail.list(1, told)
    return rows[0] if rows else None


class HttpLabels:
    """Judges labels by HTTP, each once, and counts them since this process began.

    ``flush_s`` is how far the inference log may be behind. A label is judged only when that
    time and some more have passed, so that one that overtakes its prediction is no stranger.
    """

    def __init__(
        self, trail: AuditTrail, labels: LabelLog, rows: InferenceLog, flush_s: float
    ) -> None:
        self._trail = trail
        self._labels = labels
        self._rows = rows
        self._settled_after = timedelta(seconds=flush_s) + _SPARE
        self._counted: Counter[tuple[str, Fate]] = Counter()

    def judge(self, now: datetime) -> None:
        """Writes a row for each problem that labels came to by HTTP since its last row.

        Raises:
            UnavailableError: the database does not answer.
        """
        until = now - self._settled_after
        for problem in self._labels.problems():
            last = last_look(self._trail, problem)
            since = last.entry.at if last else None
            new = _since(self._labels.labels(problem, since=since), since, until)
            if new.num_rows:
                self._record(problem, new, since, until)

    def family(self) -> Family:
        """What was counted, as a metric."""
        return Family(
            "pilothouse_labels_total",
            "counter",
            "Late labels that came by HTTP, by what became of them.",
            [
                Sample({"problem": problem, "fate": fate.value}, float(number))
                for (problem, fate), number in sorted(self._counted.items())
            ],
        )

    def _record(self, problem: str, new: pa.Table, since: datetime | None, until: datetime) -> None:
        report = self._report(problem, new, since, until)
        ends = pc.min_max(new[AT]).as_py()
        first, latest = (f"{ends[end]:%Y-%m-%d %H:%M:%S}" for end in ("min", "max"))
        came = f"{count(new.num_rows, 'label')} came by HTTP, {first} to {latest} UTC"
        self._trail.record(
            Action.LABELS_ADDED,
            at=until,
            actor=WORKER,
            object=f"labels of {problem}",
            problem=problem,
            detail=f"{came}: {labels_sentence(report)}",
        )
        for fate, number in report.fates.items():
            self._counted[problem, fate] += number

    def _report(
        self, problem: str, new: pa.Table, since: datetime | None, until: datetime
    ) -> LabelsReport:
        """What became of new labels, beside all that came for the same requests before them."""
        sources = pc.unique(new[SOURCE])
        made = [made_at(source) for source in sources.to_pylist()]
        known = [at for at in made if at is not None]
        # Ids of earlier releases do not tell their time: then all files are looked at.
        earliest = min(known) if len(known) == len(made) else None
        # No label is given before its request; but an id may be anybody's invention.
        given = min(earliest, pc.min(new[AT]).as_py()) if earliest else None
        columns = [REQUEST_ID, ROW_ID]
        rows = self._rows.window(problem, since=earliest, columns=columns, requests=sources)
        labels = self._labels.labels(problem, since=given, sources=sources)
        return report_of(_since(join(rows, labels).labels, since, until)[FATE])


def _since(labels: pa.Table, since: datetime | None, until: datetime) -> pa.Table:
    """Labels by HTTP after ``since`` and up to ``until``."""
    is_new = pc.and_(pc.equal(labels[BY], BY_HTTP), pc.less_equal(labels[AT], until))
    if since is not None:
        is_new = pc.and_(is_new, pc.greater(labels[AT], since))
    return labels.filter(is_new)
