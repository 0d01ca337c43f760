"""Late labels that came by HTTP, for the audit trail.

Replicas never open the database, so the worker counts what they took in and writes one row
for each problem and look, under the time up to which it has counted. That time is where the
next look goes on: a worker that dies before the row is written leaves the labels to the next.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow.compute as pc

from core.data.batch_files import AT
from core.data.labels import BY, BY_HTTP, LabelLog
from core.promotion.audit import Action, Chosen
from core.promotion.identity import WORKER
from core.promotion.trail import AuditTrail
from core.wording import count

#: A label is on disk a moment after the time that it carries.
_SETTLED_AFTER = timedelta(seconds=10)


def record_http_labels(trail: AuditTrail, log: LabelLog, now: datetime) -> None:
    """Writes a row for each problem that labels came to by HTTP since its last row.

    Raises:
        UnavailableError: the database does not answer.
    """
    until = now - _SETTLED_AFTER
    for problem in log.problems():
        told = Chosen(problem=problem, actor=WORKER, action=Action.LABELS_ADDED)
        last = trail.list(1, told)
        since = last[0].entry.at if last else None
        labels = log.labels(problem, since=since)
        at = labels[AT]
        is_new = pc.and_(pc.equal(labels[BY], BY_HTTP), pc.less_equal(at, until))
        if since is not None:
            is_new = pc.and_(is_new, pc.greater(at, since))
        new = labels.filter(is_new)
        if new.num_rows:
            ends = pc.min_max(new[AT]).as_py()
            first, latest = (f"{ends[end]:%Y-%m-%d %H:%M:%S}" for end in ("min", "max"))
            trail.record(
                Action.LABELS_ADDED,
                at=until,
                actor=WORKER,
                object=f"labels of {problem}",
                problem=problem,
                detail=f"{count(new.num_rows, 'label')} came by HTTP, {first} to {latest} UTC.",
            )
