"""Rows of a check: a batch or a window of the inference log, with what the version says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.data.batch_files import AT, Fetch, local_batch_file, only_here
from core.data.label_join import join
from core.data.labels import LabelLog
from core.data.tables import ROW_ID, contract_columns, read_table
from core.deployment.inference_log import VERSION, InferenceLog
from core.errors import InvalidInputError, NotFoundError
from core.monitoring.report import PROBABILITY
from core.monitoring.sampling import in_order_of_time
from core.params_monitoring import MOST_WINDOW_HOURS, MOST_WINDOW_ROWS, WINDOW
from core.problems.contract import Contract

#: Rows that are scored at a time: more would only need more memory.
SCORED_AT_ONCE = 100_000
#: Probability of each row of some columns of the contract.
Score = Callable[[dict[str, npt.NDArray[np.generic]]], npt.NDArray[np.float64]]


class LateLabels:
    """Labels that came after their rows."""

    def __init__(self, log: LabelLog) -> None:
        self._log = log

    def join(self, problem: str, rows: pa.Table, batch_id: str | None) -> pa.Table:
        """Rows with ``label`` filled in where it is known by now.

        ``batch_id`` is ``None`` for rows of the inference log, in order of time.
        """
        if batch_id is not None:
            labels = self._log.labels_of(problem, batch_id, rows.column(ROW_ID))
            return join(rows, labels, source=batch_id).table
        first = rows.column(AT)[0].as_py() if rows.num_rows else None
        return join(rows, self._log.labels(problem, since=first)).table

    def row_ids(self, problem: str, batch_id: str) -> Iterator[npt.NDArray[np.int64]]:
        """Yields the row id of every late label of a batch, in parts."""
        return self._log.row_ids_of(problem, batch_id)


@dataclass(frozen=True)
class Arrivals:
    """Where rows and labels come from."""

    log: InferenceLog
    labels: LateLabels
    #: Brings the file of a batch that is missing in the home.
    fetch: Fetch = only_here


def require_window(window: str) -> str:
    """Returns a window as it is written everywhere.

    Raises:
        InvalidInputError: it is neither hours nor rows, or too long.
    """
    match = WINDOW.fullmatch(window)
    if match is None:
        raise InvalidInputError(
            f"The window {window!r} is not understood.",
            fix="Write it as hours, such as 24h, or as rows, such as 5000 rows.",
        )
    # By length at first: Python reads no number of thousands of digits.
    most = MOST_WINDOW_HOURS if match["hours"] else MOST_WINDOW_ROWS
    figure = match["hours"] or match["rows"]
    if len(figure) > len(str(most)) or int(figure) > most:
        raise InvalidInputError(
            f"A window of {window[:20]} is too long.",
            fix=f"Take at most {MOST_WINDOW_HOURS}h, which are ten years, or "
            f"{MOST_WINDOW_ROWS} rows.",
        )
    return window


def require_batch_file(home: Path, problem: str, batch_id: str, fetch: Fetch = only_here) -> Path:
    """Returns the file of a batch.

    Raises:
        NotFoundError: it is gone.
        UnavailableError: it is missing and the store that has it does not answer.
    """
    path = local_batch_file(home, problem, batch_id, fetch)
    if not path.is_file():
        raise NotFoundError(
            f"The rows of batch {batch_id} are not on this machine.",
            fix="`pilothouse batch list` shows what there is.",
        )
    return path


def batch_rows(
    home: Path, problem: str, batch_id: str, labels: LateLabels, fetch: Fetch = only_here
) -> pa.Table:
    """Rows of a batch in order of time, with every label that is known by now.

    Raises:
        NotFoundError: the batch's file is gone.
        UnavailableError: it is missing and the store that has it does not answer.
    """
    path = require_batch_file(home, problem, batch_id, fetch)
    return in_order_of_time(labels.join(problem, read_table(path), batch_id))


def window_rows(
    log: InferenceLog, problem: str, window: str, until: datetime, labels: LateLabels
) -> pa.Table:
    """Rows of a window of the inference log in order of time, with labels known by now."""
    match = WINDOW.fullmatch(require_window(window))
    hours = match["hours"] if match else None
    rows = match["rows"] if match else None
    found = log.window(
        problem,
        since=until - timedelta(hours=int(hours)) if hours else None,
        last_rows=int(rows) if rows else None,
    )
    return in_order_of_time(labels.join(problem, found, None))


def with_probability(
    table: pa.Table, contract: Contract, version: int, score: Score
) -> tuple[pa.Table, int]:
    """Gives every row the probability that ``version`` has for it.

    Returns:
        The table with ``probability``, and how many logged rows were scored anew because
        another version had answered them.
    """
    if PROBABILITY not in table.column_names:
        return table.append_column(PROBABILITY, pa.array(_scored(table, contract, score))), 0
    strange = table.column(VERSION).to_numpy() != version
    if not strange.any():
        return table, 0
    probability = table.column(PROBABILITY).to_numpy().astype(np.float64)
    probability[strange] = _scored(table.filter(pa.array(strange)), contract, score)
    place = table.schema.get_field_index(PROBABILITY)
    return table.set_column(place, PROBABILITY, pa.array(probability)), int(strange.sum())


def _scored(table: pa.Table, contract: Contract, score: Score) -> npt.NDArray[np.float64]:
    """Probability of every row, shape (rows,)."""
    if not table.num_rows:
        return np.empty(0)
    starts = range(0, table.num_rows, SCORED_AT_ONCE)
    parts = [table.slice(start, SCORED_AT_ONCE) for start in starts]
    return np.concatenate([score(dict(contract_columns(part, contract))) for part in parts])
