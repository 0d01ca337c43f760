"""One step of the benchmark of growth, in a process of its own.

Prints its outcome as one line of JSON. The clock starts when the session stands and has
done the same with a few rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import SparkSession

from benchmarks.drawn import draw
from benchmarks.footprint import Footprint
from benchmarks.sessions import local_spark, ray_spark
from core.adapters.spark_configs import session_configs
from core.bootstrap import PROVIDERS
from core.data.tables import ROW_ID, read_table
from core.params import TrainingParams, load_params
from core.problems.car_loan import PROBLEM
from core.settings import CODE_ROOT
from core.training import pipeline
from core.training.estimators import build_estimator
from core.training.preprocessing import LABEL, fit_features
from core.training.workspace import Workspace

CORES = 2
PIECE_ROWS = 250_000
WARM_UP_ROWS = 5_000
TRIALS: Mapping[str, Mapping[str, float | int | str]] = {"lr": {}, "rf": {"numTrees": 20}}


def main() -> int:
    """Does the step named on the command line with so many rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["generate", "local", "ray"])
    parser.add_argument("home", type=Path)
    parser.add_argument("rows", type=int)
    given = parser.parse_args()
    home, rows = given.home, given.rows
    if given.step == "generate":
        for count in (WARM_UP_ROWS, rows):
            generate(_workspace(home, count), count)
        told: Mapping[str, object] = {}
    else:
        told = _measure(home, rows, on_ray=given.step == "ray")
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


def generate(ws: Workspace, rows: int) -> None:
    """Writes validated rows: the bundled ones drawn again."""
    source_ws = Workspace(ws.root.parent / "source")
    pipeline.ingest_stage(PROBLEM, PROVIDERS, source_ws)
    pipeline.validate_stage(PROBLEM, source_ws)
    source = read_table(source_ws.validated)
    random = np.random.default_rng(rows)
    ws.validated.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(ws.validated, source.schema) as writer:
        for begin in range(0, rows, PIECE_ROWS):
            count = min(PIECE_ROWS, rows - begin)
            places = pa.array(random.integers(0, source.num_rows, count))
            drawn = draw(source, places, random)
            ids = pa.array(range(begin, begin + count), pa.int64())
            drawn = drawn.set_column(drawn.schema.get_field_index(ROW_ID), ROW_ID, ids)
            writer.write_table(drawn.cast(source.schema))


def _measure(home: Path, rows: int, *, on_ray: bool) -> Mapping[str, object]:
    params = load_params(CODE_ROOT / "params.yaml")
    training, profile = params.training, params.profile_named(params.profile)
    with Footprint() as held:
        with (
            ray_spark(profile, training.spark)
            if on_ray
            else local_spark(f"local[{CORES}]", _bare(profile.memory_mb))
        ) as spark:
            _train(spark, training, _workspace(home, WARM_UP_ROWS))
            began = time.perf_counter()
            preprocessed_s, aucs = _train(spark, training, _workspace(home, rows))
            seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "preprocess_s": preprocessed_s,
        "aucs": aucs,
        # Bare Spark's driver is a child of this process, as RayDP's is.
        "spark_mb": held.spark_mb,
    }


def _bare(memory_mb: int) -> Mapping[str, str]:
    """As much memory for the one process as an executor of the profile has."""
    return {**session_configs(CORES), "spark.driver.memory": f"{memory_mb}m"}


def _train(
    spark: SparkSession, training: TrainingParams, ws: Workspace
) -> tuple[float, Mapping[str, float]]:
    """Preprocesses and fits both models; seconds of the first, and AUC of each on the holdout."""
    began = time.perf_counter()
    pipeline.preprocess_stage(spark, PROBLEM, training, ws)
    preprocessed_s = time.perf_counter() - began
    train = pipeline.training_frame(spark, training, ws)
    features = fit_features(train, PROBLEM)
    vectors = features.transform(train).cache()
    holdout = features.transform(spark.read.parquet(f"file://{ws.holdout}"))
    evaluator = BinaryClassificationEvaluator(labelCol=LABEL)
    aucs = {}
    for family, trial in TRIALS.items():
        model = build_estimator(family, trial, training.split.seed, features).fit(vectors)
        aucs[family] = float(evaluator.evaluate(model.transform(holdout)))
    vectors.unpersist()
    train.unpersist()
    return preprocessed_s, aucs


def _workspace(home: Path, rows: int) -> Workspace:
    return Workspace(home / f"rows-{rows}")


if __name__ == "__main__":
    sys.exit(main())
