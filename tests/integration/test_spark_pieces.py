"""Counting on real executors: everything that it takes travels there, and failures come back."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from core.adapters.dvc import DataVersions
from core.adapters.spark_pieces import PieceWork, reduce_pieces
from core.data.batch_pieces import cut_pieces
from core.domain import Stage
from core.errors import TrainingError
from core.monitoring.arrivals import with_probability
from core.monitoring.columns import merge_tallies, plan_columns
from core.monitoring.counting import CountTask, count_here, count_piece
from core.params import load_params
from core.scoring.generate import generate_records
from core.scoring.scorer import Scorer
from core.settings import CODE_ROOT
from tests.integration import test_export_parity as parity
from tests.s3 import S3Server
from tests.serving_support import TITANIC, tiny_model

pytestmark = parity.pytestmark
spark = parity.spark

ROWS = 5000


def _rows(seed: int) -> pa.Table:
    columns = generate_records(TITANIC, ROWS, seed)
    kinds = {
        f.name: pa.float64() if f.type.is_numeric else pa.string() for f in TITANIC.contract.fields
    }
    return pa.table(
        {
            "row_id": pa.array(np.arange(ROWS)),
            **{n: pa.array(columns[n], kind, from_pandas=True) for n, kind in kinds.items()},
        }
    )


@pytest.fixture
def task(tmp_path: Path) -> CountTask:
    model = tiny_model()
    score = Scorer(TITANIC, model).probabilities
    reference, _ = with_probability(_rows(1), TITANIC.contract, 1, score)
    drift = load_params(CODE_ROOT / "params.yaml").monitoring.drift
    plans = plan_columns(TITANIC.contract, reference, ROWS, drift)
    path = tmp_path / "rows.parquet"
    pq.write_table(_rows(2), path, row_group_size=100)
    return CountTask(path, TITANIC, 1, model, plans)


def test_executors_count_what_one_process_counts(spark: SparkSession, task: CountTask) -> None:
    pieces = cut_pieces(task.path, 300)
    heard: list[tuple[Stage, float, str]] = []
    work = PieceWork(
        function=partial(count_piece, task),
        merge=merge_tallies,
        pieces=pieces,
        cores=2,
        by_value=TITANIC.modules,
    )
    counted = reduce_pieces(spark, work, lambda *told: heard.append(told))
    assert counted == count_here(task, pieces, lambda share, doing: None)
    assert {tally.counts.rows for tally in counted.values()} == {ROWS}
    assert [message for _, _, message in heard] == [f"{begin} of 17 pieces" for begin in (0, 6, 12)]


def test_a_node_that_does_not_have_the_batch_fetches_it(
    spark: SparkSession, task: CountTask, s3: S3Server, tmp_path: Path
) -> None:
    home = tmp_path / "batches"
    versions = DataVersions(home, s3.create_bucket())
    path = home / "titanic" / "one.parquet"
    path.parent.mkdir(parents=True)
    shutil.copy(task.path, path)
    versions.add(path)
    pieces = cut_pieces(path, 300)
    there = replace(task, path=path, fetch=versions.fetch)
    expected = count_here(there, pieces, lambda share, doing: None)
    shutil.rmtree(home)

    work = PieceWork(partial(count_piece, there), merge_tallies, pieces, 2, TITANIC.modules)
    assert reduce_pieces(spark, work, lambda *_: None) == expected


def test_a_failure_on_an_executor_is_told_in_its_own_words(
    spark: SparkSession, task: CountTask, tmp_path: Path
) -> None:
    pieces = cut_pieces(task.path, 300)
    task.path.rename(tmp_path / "elsewhere.parquet")
    work = PieceWork(partial(count_piece, task), merge_tallies, pieces, 2, TITANIC.modules)
    with pytest.raises(TrainingError, match=r"FileNotFoundError: .*rows\.parquet") as failed:
        reduce_pieces(spark, work, lambda *_: None)
    assert "PILOTHOUSE_HOME" in failed.value.fix
