"""The holdout on a real Spark: the very same rows, whatever batches a run learns from."""

from __future__ import annotations

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from core.data.held_back import BATCH_ROW_IDS
from core.data.tables import ROW_ID
from core.params import load_params
from core.settings import CODE_ROOT
from core.training.preprocessing import LABEL
from core.training.splits import FOLD, HOLDOUT_FOLD, assign_folds
from tests.integration import test_export_parity as parity

pytestmark = parity.pytestmark
spark = parity.spark
SPLIT = load_params(CODE_ROOT / "params.yaml").training.split
OWN_ROWS, BATCH_ROWS = 1000, 400


def _rows(spark: SparkSession, row_ids: np.ndarray, share: float) -> DataFrame:
    labels = (np.random.default_rng(5).random(row_ids.size) < share).astype(float)
    data = list(zip(row_ids.tolist(), labels.tolist(), strict=True))
    return spark.createDataFrame(data, f"{ROW_ID} long, {LABEL} double")


def _folds(frame: DataFrame) -> dict[int, int]:
    return {row[ROW_ID]: row[FOLD] for row in assign_folds(frame, SPLIT).collect()}


def test_batches_move_no_row_of_the_source(spark: SparkSession) -> None:
    own = _rows(spark, np.arange(OWN_ROWS), 0.4)
    batches = [
        _rows(spark, (order + 1) * BATCH_ROW_IDS + np.arange(BATCH_ROWS), 0.7) for order in (0, 1)
    ]
    alone = _folds(own)
    together = _folds(own.unionByName(batches[0]).unionByName(batches[1]).repartition(3))
    assert len(together) == OWN_ROWS + 2 * BATCH_ROWS
    assert {row: fold for row, fold in together.items() if row < BATCH_ROW_IDS} == alone
    held = [row for row, fold in together.items() if fold == HOLDOUT_FOLD]
    assert max(held) < OWN_ROWS
    assert len(held) == round(OWN_ROWS * SPLIT.holdout_fraction)
    added = [fold for row, fold in together.items() if row >= BATCH_ROW_IDS]
    assert np.bincount(added, minlength=SPLIT.folds).min() > 0.9 * len(added) / SPLIT.folds
