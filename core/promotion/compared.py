"""Candidate and incumbent on the holdout, on held-back rows, and on both together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.data.labelled import LabelledBatch
from core.domain import Batch
from core.params_promotion import PromotionParams
from core.problems.contract import Problem
from core.promotion.common_rows import CommonRows, held_back_rows, holdout_rows
from core.promotion.evidence import Judged, RowsComparison, RowSet
from core.promotion.models import Model
from core.promotion.paired import compare_rows, joined
from core.promotion.rates import Thresholds, judge_rows
from core.training.comparison import Resampling


@dataclass(frozen=True)
class Compared:
    """One comparison of each set of rows, and what is beyond the AUC on the widest set."""

    comparisons: tuple[RowsComparison, ...]
    judged: Judged | None
    notes: tuple[str, ...] = ()


def compare(
    problem: Problem,
    candidate: Model,
    incumbent: Model | None,
    batches: Sequence[Batch],
    read: Callable[[Batch], LabelledBatch],
    policy: PromotionParams,
    how: Resampling,
) -> Compared:
    """Holds both models against each other on rows that neither has learned from.

    ``batches`` are newest first; ``read`` gives the labelled rows of one.
    """
    if incumbent is None:
        why = "Nothing is in production to compare with."
        return Compared(tuple(_none(rows_of, why) for rows_of in RowSet), None)
    most, seed = policy.evidence_rows, how.seed
    models = (candidate, incumbent)
    holdout = holdout_rows(candidate, incumbent, most, seed)
    held_back = held_back_rows(problem.contract, batches, read, models, most, seed)
    parts = (
        _on(RowSet.HOLDOUT, holdout, policy, how),
        _on(RowSet.HELD_BACK, held_back, policy, how),
    )
    both = _together(holdout, held_back)
    found = [part for part, rows in zip(parts, (holdout, held_back), strict=True) if rows.pair]
    if len(found) == 1:
        # The same rows give the same numbers.
        third = found[0].model_copy(update={"rows_of": RowSet.BOTH})
    else:
        third = _on(RowSet.BOTH, both, policy, how)
    judged = _judged(problem, both, models, policy, how)
    return Compared((*parts, third), judged, held_back.notes)


def _none(rows_of: RowSet, why: str) -> RowsComparison:
    return RowsComparison(rows_of=rows_of, rows=0, positives=0, available_rows=0, note=why)


def _on(
    rows_of: RowSet, rows: CommonRows, policy: PromotionParams, how: Resampling
) -> RowsComparison:
    if rows.pair is None:
        return _none(rows_of, rows.why_none)
    return compare_rows(
        rows_of,
        rows.pair,
        policy.auc_margin,
        how,
        available_rows=rows.available_rows,
        batches=rows.batches,
    )


def _together(holdout: CommonRows, held_back: CommonRows) -> CommonRows:
    pairs = [rows.pair for rows in (holdout, held_back) if rows.pair is not None]
    if not pairs:
        return CommonRows(None, why_none=f"{holdout.why_none} {held_back.why_none}")
    available = holdout.available_rows + held_back.available_rows
    return CommonRows(joined(pairs), available, held_back.batches)


def _judged(
    problem: Problem,
    rows: CommonRows,
    models: tuple[Model, Model],
    policy: PromotionParams,
    how: Resampling,
) -> Judged | None:
    candidate, incumbent = (model.identity.threshold for model in models)
    if rows.pair is None or candidate is None or incumbent is None:
        return None
    thresholds = Thresholds(candidate, incumbent)
    return judge_rows(RowSet.BOTH, rows.pair, thresholds, problem.contract.label, policy, how)
