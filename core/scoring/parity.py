"""Holds the exported model against the Spark pipeline it came from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import SparkSession
from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType

from core.errors import RowCountError
from core.problems.contract import Columns, Problem
from core.training.preprocessing import add_derived
from core.training.report import ParityResult

_ROW = "_row"


def compare(
    spark_probabilities: npt.NDArray[np.float64],
    scorer_probabilities: npt.NDArray[np.float64],
    tolerance: float,
) -> ParityResult:
    """Largest difference between two arrays of probabilities of shape (rows,).

    Where either is not a number, the difference is 1, the largest there can be. The
    models agree if ``max_difference <= tolerance``.

    Raises:
        ValueError: there is nothing to compare, or the shapes differ.
    """
    shape = spark_probabilities.shape
    if shape != scorer_probabilities.shape or len(shape) != 1 or shape[0] == 0:
        raise ValueError(f"cannot compare {shape} with {scorer_probabilities.shape}")
    difference = np.abs(spark_probabilities - scorer_probabilities)
    largest = float(np.where(np.isnan(difference), 1.0, difference).max())
    return ParityResult(rows=shape[0], max_difference=largest, tolerance=tolerance)


def spark_probabilities(
    spark: SparkSession, model: PipelineModel, problem: Problem, columns: Columns
) -> npt.NDArray[np.float64]:
    """Probability of the positive class as the Spark pipeline has it, shape (rows,).

    ``columns`` are the contract's, ``model`` is feature steps and classifier. Rows are
    sent through the driver, so executors need not share its file system.

    Raises:
        RowCountError: Spark returned fewer or more rows than it got.
    """
    fields = problem.contract.fields
    schema = StructType(
        [StructField(_ROW, LongType())]
        + [StructField(f.name, DoubleType() if f.type.is_numeric else StringType()) for f in fields]
    )
    values = [columns[f.name].tolist() for f in fields]
    rows = list(zip(range(len(values[0])), *values, strict=True))
    frame = spark.createDataFrame(rows, schema, verifySchema=False)
    scored = model.transform(add_derived(frame, problem))
    answers = scored.select(_ROW, vector_to_array("probability")[1]).collect()
    if len(answers) != len(rows):
        raise RowCountError(f"Spark scored {len(answers)} of {len(rows)} records.")
    return np.array([probability for _, probability in sorted(answers)], dtype=np.float64)
