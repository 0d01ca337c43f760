"""Work on Spark whose data goes through an S3 store gives what it gives in a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from core.adapters.spark_files import FOLDER, spark_files
from core.bootstrap import PROVIDERS
from core.bootstrap_engines import propose_by_tpe
from core.data.tables import ROW_ID
from core.errors import UnavailableError
from core.params import load_params, override_training
from core.problems.titanic import PROBLEM
from core.settings import CODE_ROOT
from core.settings_store import S3Store
from core.training import pipeline
from core.training.checkpoints import checkpoints
from core.training.splits import pin_partitions
from core.training.workspace import Workspace
from tests.integration import test_export_parity as parity
from tests.ray_head import free_ports
from tests.s3 import SECRET, S3Server

pytestmark = parity.pytestmark
spark = parity.spark
#: One partition: with more, Spark adds numbers up in the order in which tasks end, and the last
#: digits differ from run to run.
PARAMS = override_training(
    load_params(CODE_ROOT / "params.yaml").training,
    {
        "search.families": "[rf]",
        "search.trials": "1",
        "split.folds": "2",
        "spark.rows_per_partition": "1000",
        "evaluation.parity_records": "200",
    },
)
SMALL = replace(PROBLEM, search_space={"rf": {"numTrees": (3,), "maxDepth": (4,)}})


@pytest.fixture(scope="module")
def store(s3: S3Server) -> S3Store:
    return s3.create_bucket("spark")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Titanic's rows, as far as they need no Spark."""
    ws = Workspace(tmp_path_factory.mktemp("source"))
    pipeline.ingest_stage(PROBLEM, PROVIDERS, ws)
    pipeline.validate_stage(PROBLEM, ws)
    return ws


def run(spark: SparkSession, source: Workspace, root: Path, store: S3Store | None) -> Workspace:
    ws = Workspace(root)
    ws.root.mkdir()
    ws.validated.write_bytes(source.validated.read_bytes())
    with spark_files(store) as files:
        folder = ws.checkpoints if files.is_shared else None
        with checkpoints(spark, folder):
            pipeline.preprocess_stage(spark, SMALL, PARAMS, ws, files)
            pipeline.train_stage(spark, SMALL, PARAMS, ws, lambda *_: None, propose_by_tpe, files)
    pipeline.evaluate_stage(SMALL, PARAMS, ws)
    return ws


def timeless(value: object) -> object:
    """The same without what differs from run to run."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in ("seconds", "done_s")}
    return [timeless(one) for one in value] if isinstance(value, list) else value


def files_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*.*"))}


@pytest.mark.timeout(900)
def test_a_run_through_the_store_is_the_run_in_a_folder(
    spark: SparkSession, source: Workspace, tmp_path: Path, s3: S3Server, store: S3Store
) -> None:
    near = run(spark, source, tmp_path / "near", None)
    far = run(spark, source, tmp_path / "far", store)
    for part in ("prepared/train", "prepared/holdout"):
        assert files_in(near.root / part) == files_in(far.root / part) != {}
    for name in ("columns", "report", "fit"):
        ours, theirs = (timeless(json.loads(getattr(ws, name).read_text())) for ws in (near, far))
        assert ours == theirs
    for name in ("onnx", "reference", "predictions"):
        assert getattr(near, name).read_bytes() == getattr(far, name).read_bytes()
    assert PipelineModel.load(f"file://{far.spark_model}").stages[-1].getNumTrees == 3
    # Nothing is left but the run's own files, and nothing tells the key.
    assert s3.keys(store) == []
    assert not any(SECRET in value for _, value in spark.sparkContext.getConf().getAll())


ROWS = 1000


def mixed() -> pa.Table:
    """Every type that a prepared row may have, under names that Spark finds hard."""
    moments = [datetime(2026, 3, 29, tzinfo=UTC) + timedelta(minutes=n) for n in range(ROWS)]
    return pa.table(
        {
            ROW_ID: pa.array(range(ROWS), pa.int64()),
            'a.b `c` "d"': pa.array([n / 7 if n % 5 else None for n in range(ROWS)]),
            "text": pa.array([f"é{n}" if n % 3 else None for n in range(ROWS)]),
            "at": pa.array(moments, pa.timestamp("us", "UTC")),
            "naive": pa.array([m.replace(tzinfo=None) for m in moments], pa.timestamp("us")),
            "fold": pa.array([n % 3 for n in range(ROWS)], pa.int32()),
        }
    )


@pytest.mark.parametrize("rows", [ROWS, 0])
def test_a_frame_is_the_same_through_the_store(
    spark: SparkSession, tmp_path: Path, store: S3Store, rows: int
) -> None:
    place = tmp_path / "mixed.parquet"
    pq.write_table(mixed().slice(0, rows), place, row_group_size=300)
    written = []
    for number, target in enumerate((None, store)):
        with spark_files(target) as files:
            frame = files.read_frame(spark, place)
            folder = tmp_path / str(number)
            pinned = pin_partitions(frame, 7).where(F.col("fold") < 2).cache()
            files.write_frame(pinned, folder)
            again = files.read_frame(spark, folder)
            assert sorted(r[0] for r in again.select(ROW_ID).collect()) == [
                n for n in range(rows) if n % 3 < 2
            ]
            written.append((frame.schema, again.schema, files_in(folder)))
    assert written[0] == written[1]
    assert len(written[0][2]) == (7 if rows else 1)


def test_no_partition_without_rows_makes_a_file_but_the_first(
    spark: SparkSession, tmp_path: Path, store: S3Store
) -> None:
    place = tmp_path / "mixed.parquet"
    pq.write_table(mixed(), place)
    for number, target in enumerate((None, store)):
        with spark_files(target) as files:
            frame = pin_partitions(files.read_frame(spark, place), 9)
            few = frame.where(F.spark_partition_id().isin(2, 5)).cache()
            files.write_frame(few, tmp_path / str(number))
    near, far = (files_in(tmp_path / str(number)) for number in (0, 1))
    assert near == far
    assert len(near) == 3


def test_a_store_that_executors_do_not_reach_is_told(
    spark: SparkSession, tmp_path: Path, store: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    (port,) = free_ports(1)
    away = replace(store, endpoint=f"http://127.0.0.1:{port}")
    place = tmp_path / "mixed.parquet"
    pq.write_table(mixed(), place)
    with spark_files(away) as files, pytest.raises(UnavailableError, match="S3 store"):
        files.read_frame(spark, place)
    frame = spark.range(5)
    with spark_files(away) as files, pytest.raises(UnavailableError, match="executors cannot use"):
        files.write_frame(frame, tmp_path / "out")
    assert SECRET not in caplog.text


def test_what_a_killed_process_left_goes(s3: S3Server, store: S3Store) -> None:
    s3.client().put_object(
        Bucket=store.bucket, Key=f"{store.prefix}/{FOLDER}/old/001-x/part-00000.parquet", Body=b"x"
    )
    with spark_files(store):
        pass
    assert s3.keys(store) == [f"{FOLDER}/old/001-x/part-00000.parquet"]
    with patch("core.adapters.spark_files.FORGOTTEN_AFTER", -timedelta(minutes=1)):
        with spark_files(store):
            pass
    assert s3.keys(store) == []
