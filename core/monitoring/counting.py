"""Counts the rows of a batch that memory does not hold, wherever its pieces are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import pyarrow as pa

from core.data.batch_files import Fetch, only_here
from core.data.batch_pieces import Piece, read_piece
from core.monitoring.arrivals import with_probability
from core.monitoring.columns import ColumnPlan, Tallies, Tally, merge_tallies, tally
from core.monitoring.sampling import Span
from core.monitoring.stored_batch import StoredBatch
from core.problems.contract import Problem
from core.scoring.scorer import Scorer


@dataclass(frozen=True, eq=False)
class CountTask:
    """What has to be known to count a piece; it travels to where that is done."""

    #: The batch's file, under a path that is the same everywhere.
    path: Path
    problem: Problem
    #: Number and ONNX file of the version that says each row's probability.
    version: int
    model: bytes
    plans: tuple[ColumnPlan, ...]
    #: Brings the file where a node does not have it.
    fetch: Fetch = only_here


#: Hears how much has been counted, from 0 to 1, and what is going on.
OnShare = Callable[[float, str], None]
#: Counts pieces and puts together what was counted.
Count = Callable[[CountTask, Sequence[Piece], OnShare], Tallies]


def count_piece(task: CountTask, piece: Piece) -> Tallies:
    """Scores and counts the rows of one piece."""
    score = Scorer(task.problem, task.model).probabilities
    task.fetch(task.path)
    rows = read_piece(task.path, piece)
    scored, _ = with_probability(rows, task.problem.contract, task.version, score)
    return tally(scored, task.plans)


def count_here(task: CountTask, pieces: Sequence[Piece], on_share: OnShare) -> Tallies:
    """Counts in this process, one piece after the other."""
    del on_share
    return reduce(merge_tallies, (count_piece(task, piece) for piece in pieces))


@dataclass(frozen=True, eq=False)
class ArrivedPieces:
    """What arrived, as a batch on disk whose pieces are counted by ``count``."""

    batch: StoredBatch
    problem: Problem
    version: int
    model: bytes
    #: Gives rows the version's probability.
    told: Callable[[pa.Table], pa.Table]
    count: Count
    on_share: OnShare

    @property
    def rows(self) -> int:
        """Rows in all."""
        return self.batch.rows

    @property
    def labelled_rows(self) -> int:
        """Rows whose label is known."""
        return int(self.batch.is_labelled.sum())

    @property
    def span(self) -> Span | None:
        """When the first and the last row happened."""
        return self.batch.span

    def tally(self, plans: Sequence[ColumnPlan]) -> Mapping[str, Tally]:
        """Counts all rows by a plan."""
        return self.count(self.task(plans), self.batch.pieces, self.on_share)

    def task(self, plans: Sequence[ColumnPlan]) -> CountTask:
        """What has to be known to count the batch by a plan."""
        return CountTask(
            path=self.batch.path,
            problem=self.problem,
            version=self.version,
            model=self.model,
            plans=tuple(plans),
            fetch=self.batch.fetch,
        )

    def sample(self, rows: int, seed: int) -> pa.Table:
        """At most so many rows, in order of time."""
        return self.told(self.batch.sample(rows, seed))
