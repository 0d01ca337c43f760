"""Divides rows into the fixed holdout and the folds of the training part, in Spark."""

from __future__ import annotations

import math

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from core.data.held_back import BATCH_ROW_IDS
from core.data.tables import ROW_ID
from core.params import SplitParams
from core.training.preprocessing import LABEL

FOLD = "fold"
HOLDOUT_FOLD = -1


def assign_folds(frame: DataFrame, params: SplitParams) -> DataFrame:
    """Adds ``fold``: -1 for the holdout, otherwise 0 to folds - 1.

    Stratified by label and decided by a seeded hash of the row id alone, so that
    neither partitions nor executors move a row. Rows of batches are never in the holdout
    and do not count there: it is the same with and without them.
    """
    order = F.xxhash64(F.lit(params.seed), F.col(ROW_ID))
    frame = frame.withColumn("_batch", F.col(ROW_ID) >= F.lit(BATCH_ROW_IDS))
    alike = Window.partitionBy(LABEL, "_batch")
    rank = F.row_number().over(alike.orderBy(order, F.col(ROW_ID))) - 1
    share = F.when(F.col("_batch"), 0.0).otherwise(params.holdout_fraction)
    kept_back = F.round(F.count("*").over(alike) * share).cast("int")
    ranked = frame.withColumn("_rank", rank).withColumn("_held", kept_back)
    in_fold = ((F.col("_rank") - F.col("_held")) % F.lit(params.folds)).cast("int")
    fold = F.when(F.col("_rank") < F.col("_held"), F.lit(HOLDOUT_FOLD)).otherwise(in_fold)
    return ranked.withColumn(FOLD, fold).drop("_rank", "_held", "_batch")


def partitions_for(rows: int, rows_per_partition: int) -> int:
    """Number of partitions for so many rows, whatever the executors."""
    return max(1, math.ceil(rows / rows_per_partition))


def pin_partitions(frame: DataFrame, partitions: int) -> DataFrame:
    """Rows placed by their id and sorted within partitions: same rows, same layout."""
    return frame.repartition(partitions, ROW_ID).sortWithinPartitions(ROW_ID)
