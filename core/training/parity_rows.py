"""Records on which a run compares its export with Spark."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from core.data.labelled import LabelledBatch, as_stored
from core.data.tables import contract_columns, read_table, write_table
from core.params import TrainingParams
from core.problems.contract import Columns, Contract, Problem
from core.scoring.generate import generate_records
from core.training.workspace import Workspace

LOG = logging.getLogger(__name__)


def keep_held_back(problem: Problem, batches: Sequence[LabelledBatch], ws: Workspace) -> None:
    """Writes the inputs of the batches' held-back rows, without labels: they judge candidates.

    A batch that an earlier contract took and that does not fit this one is left out: no run
    is to be lost by a comparison that comes on top.
    """
    kept = []
    for batch in batches:
        try:
            kept.append(_inputs(batch.held_back, problem.contract))
        except (KeyError, pa.ArrowInvalid) as exc:
            LOG.warning("the export is not compared on batch %s: %s", batch.id, exc)
    if kept:
        write_table(pa.concat_tables(kept), ws.held_back)


def _inputs(rows: pa.Table, contract: Contract) -> pa.Table:
    return pa.table({one.name: as_stored(rows.column(one.name), one) for one in contract.fields})


def parity_columns(
    problem: Problem, params: TrainingParams, holdout: pa.Table, ws: Workspace
) -> Columns:
    """Inputs of the holdout, generated records, and held-back rows of the run's batches.

    Of the held-back rows a seeded choice, as many as are generated at most.
    """
    most, seed = params.evaluation.parity_records, params.split.seed
    parts = [
        contract_columns(holdout, problem.contract),
        generate_records(problem, most, seed),
    ]
    if ws.held_back.exists():
        rows = read_table(ws.held_back)
        if rows.num_rows > most:
            chosen = np.random.default_rng(seed).choice(rows.num_rows, most, replace=False)
            rows = rows.take(pa.array(np.sort(chosen)))
        parts.append(contract_columns(rows, problem.contract))
    names = problem.contract.names
    return {name: np.concatenate([part[name] for part in parts]) for name in names}
