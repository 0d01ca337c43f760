"""The one split into training and validation that every single-split search uses."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from core.training.splits import FOLD

TRAIN_RATIO = 0.75
VALIDATION = 0


def with_single_split(frame: DataFrame, seed: int) -> DataFrame:
    """Puts the rows that ``TrainValidationSplit`` would validate on into fold 0, others in 1.

    The draw is Spark's own, by partition and seed, so ``frame`` must be partitioned as the
    recipe's is.
    """
    fold = F.when(F.rand(seed) >= TRAIN_RATIO, F.lit(VALIDATION)).otherwise(F.lit(1))
    return frame.withColumn(FOLD, fold)
