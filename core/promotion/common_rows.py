"""Rows that neither of two models has learned from, with what both say of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.data.batch_files import LABEL
from core.data.held_back import training_row_ids
from core.data.labelled import LabelledBatch
from core.data.tables import ROW_ID, contract_columns
from core.domain import Batch
from core.errors import InvalidInputError, NotFoundError
from core.problems.contract import Contract
from core.promotion.evidence import BatchRows
from core.promotion.models import Model
from core.promotion.paired import Pair, joined, shared_rows, taken
from core.scoring.scorer import Scorer
from core.training.comparison import Incomparable
from core.training.predictions import HoldoutPredictions


@dataclass(frozen=True, eq=False)
class CommonRows:
    """Rows of one kind; ``why_none`` where there are none."""

    pair: Pair | None
    available_rows: int = 0
    batches: tuple[BatchRows, ...] = ()
    why_none: str = ""
    notes: tuple[str, ...] = ()


def holdout_rows(candidate: Model, incumbent: Model, most: int, seed: int) -> CommonRows:
    """What both runs kept of their holdouts; a seeded sample where these are larger."""
    if candidate.predictions is None or incumbent.predictions is None:
        lacking = candidate if candidate.predictions is None else incumbent
        return CommonRows(
            None, why_none=f"v{lacking.identity.version} has no predictions of its holdout."
        )
    found = shared_rows(candidate.predictions, incumbent.predictions)
    if isinstance(found, Incomparable):
        return CommonRows(None, why_none=found.reason)
    rows = found.candidate.rows
    chosen = _drawn(rows, most, seed)
    pair = Pair(taken(found.candidate, chosen), taken(found.incumbent, chosen))
    return CommonRows(pair, available_rows=rows)


def held_back_rows(
    contract: Contract,
    batches: Sequence[Batch],
    read: Callable[[Batch], LabelledBatch],
    models: tuple[Model, Model],
    most: int,
    seed: int,
) -> CommonRows:
    """Held-back rows of labelled batches, scored by both models now.

    Args:
        contract: the problem's, as it is now.
        batches: newest first; older ones are left alone once there are rows enough.
        read: the labelled rows of a batch.
        models: candidate and incumbent.
        most: rows at most; of the batch that passes it a seeded sample is taken.
        seed: of the sample.
    """
    candidate, incumbent = models
    if candidate.scorer is None or incumbent.scorer is None:
        lacking = candidate if candidate.scorer is None else incumbent
        return CommonRows(
            None, why_none=f"v{lacking.identity.version} cannot be asked about other rows."
        )
    scorers = (candidate.scorer, incumbent.scorer)
    pairs: list[Pair] = []
    sources: list[BatchRows] = []
    notes: list[str] = []
    available = have = 0
    for order, batch in enumerate(batches):
        if have >= most:
            break
        try:
            table = read(batch).held_back
            _require_columns(table, contract, batch)
        except (NotFoundError, InvalidInputError) as exc:
            notes.append(exc.message)
            continue
        available += table.num_rows
        table = table.take(pa.array(_drawn(table.num_rows, most - have, seed)))
        if table.num_rows:
            pairs.append(_scored(table, order, contract, scorers))
            sources.append(BatchRows(id=batch.id, rows=table.num_rows))
            have += table.num_rows
    if not pairs:
        return CommonRows(
            None, why_none="No batch has labelled rows that were held back.", notes=tuple(notes)
        )
    return CommonRows(joined(pairs), available, tuple(sources), notes=tuple(notes))


def _drawn(rows: int, most: int, seed: int) -> npt.NDArray[np.intp]:
    """At most ``most`` places of so many, by a seeded choice, in order."""
    if rows <= most:
        return np.arange(rows)
    chosen = np.random.default_rng(seed).choice(rows, most, replace=False)
    return np.sort(chosen)


def _require_columns(table: pa.Table, contract: Contract, batch: Batch) -> None:
    lacking = sorted({*contract.names, LABEL, ROW_ID} - set(table.column_names))
    if lacking:
        raise InvalidInputError(
            f"Batch {batch.id} was taken under another contract: it lacks {', '.join(lacking)}."
        )


def _scored(
    table: pa.Table, order: int, contract: Contract, scorers: tuple[Scorer, Scorer]
) -> Pair:
    columns = contract_columns(table, contract)
    row_ids = training_row_ids(order, table.column(ROW_ID).to_numpy())
    label = table.column(LABEL).to_numpy().astype(np.float64)
    candidate, incumbent = (
        HoldoutPredictions(row_ids, label, scorer.probabilities(columns), columns)
        for scorer in scorers
    )
    return Pair(candidate, incumbent)
