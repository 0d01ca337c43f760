"""The peer: FastAPI around MLflow's pyfunc of the Spark model.

Usage: ``python -m benchmarks.serving_pyfunc PORT SPARK_MODEL``. It gives labels alone, since
pyfunc keeps the column ``prediction`` and drops the probabilities.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import mlflow.pyfunc
import mlflow.spark
import pandas as pd
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from benchmarks.serving_fastapi import PACKAGES, build_app, run
from core.problems import load_problem
from core.problems.contract import Columns


def main() -> None:
    """Serves one model of Titanic."""
    port, spark_model = int(sys.argv[1]), sys.argv[2]
    problem = load_problem("titanic", PACKAGES)
    SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    # Beside the model, for as long as this serves: Spark reads an imputer's values when asked.
    folder = tempfile.mkdtemp(dir=Path(spark_model).parent)
    mlflow.spark.save_model(PipelineModel.load(f"file://{spark_model}"), f"{folder}/model")
    loaded = mlflow.pyfunc.load_model(f"{folder}/model")
    features = [*problem.numeric_features, *problem.categorical_features]

    def score(columns: Columns) -> Sequence[tuple[int | str, float | None]]:
        frame = pd.DataFrame(problem.with_derived(columns))[features]
        return [(int(label), None) for label in loaded.predict(frame)]

    run(build_app(problem.contract, score, blocking=True), port)


if __name__ == "__main__":
    main()
