"""The fifth of every labelled batch that no model is ever trained on.

Whether a row is held back depends on the batch's id, the row's index in it and fixed
numbers alone. It is no parameter: a row that a model was trained on could otherwise come to
judge that model later.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.data.row_hashes import row_hashes

FRACTION = 0.2
SEED = 2026
#: Row ids from here on belong to batches, below to the problem's source.
BATCH_ROW_IDS = 2**32


def held_back(batch_id: str, row_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which rows of a batch are kept for judging candidates.

    Each row is hashed to a number in [0, 1); see ``row_hashes``.

    Args:
        batch_id: the batch.
        row_ids: index of each row in the batch, shape (rows,).

    Returns:
        Shape (rows,); true for about a fifth of them.
    """
    hashes = row_hashes(f"{SEED}/{batch_id}", row_ids)
    share: npt.NDArray[np.float64] = (hashes >> np.uint64(11)).astype(np.float64) / 2.0**53
    return share < FRACTION


def training_row_ids(order: int, row_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Row ids of a batch among the training rows, shape (rows,); no two batches share one.

    ``order`` is the batch's place among those of the run, from 0.
    """
    return (order + 1) * BATCH_ROW_IDS + row_ids
