"""One step of the benchmark of large checks, in a process of its own.

Prints its outcome as one line of JSON. Reading, joining of late labels, scoring and NannyML
are in the time of a check; importing, and the start of Spark, are not.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.footprint import Footprint
from benchmarks.large_check_rows import write_given
from benchmarks.sessions import local_spark
from core.adapters.raydp import RayConnection, connect_ray
from core.adapters.spark_configs import session_configs
from core.bootstrap import PROVIDERS
from core.bootstrap_engines import build_detector, propose_by_tpe
from core.data.batch_files import batch_file
from core.data.batch_intake import take_in
from core.data.given_file import open_given
from core.data.labels import GIVEN_SCHEMA, LabelLog, labels_folder
from core.data.tables import read_table
from core.monitoring.arrivals import LateLabels, batch_rows, with_probability
from core.monitoring.counting import ArrivedPieces, Count
from core.monitoring.examine import Arrived, ArrivedTable, Findings, History, examine
from core.monitoring.job_spec import SparkSpec
from core.monitoring.spark_counting import spark_counting
from core.monitoring.stored_batch import open_batch
from core.params import Params, load_params, override_training
from core.problems.car_loan import PROBLEM
from core.scoring.scorer import Scorer
from core.settings import CODE_ROOT
from core.training import pipeline
from core.training.workspace import Workspace

CORES = 2
CHECK_ID = "0" * 32
ONE_MODEL = {"search.families": "[rf]", "search.trials": "1"}
#: One row of so many gets its label later.
LABELLED_EVERY = 10
LABELS_AT_ONCE = 250_000


def main() -> int:
    """Does the step named on the command line with so many rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("home", type=Path)
    parser.add_argument("rows", type=int)
    given = parser.parse_args()
    params = load_params(CODE_ROOT / "params.yaml")
    told = STEPS[given.step](given.home, given.rows, params)
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


def _train(home: Path, _rows: int, params: Params) -> Mapping[str, object]:
    """The product's own stages: they leave a model and its reference."""
    ws, training = _workspace(home), override_training(params.training, ONE_MODEL)
    pipeline.ingest_stage(PROBLEM, PROVIDERS, ws)
    pipeline.validate_stage(PROBLEM, ws)
    with local_spark(f"local[{CORES}]", session_configs(CORES)) as spark:
        pipeline.preprocess_stage(spark, PROBLEM, training, ws)
        pipeline.train_stage(spark, PROBLEM, training, ws, lambda *_: None, propose_by_tpe)
    return {}


def _take_in(home: Path, rows: int, _params: Params) -> Mapping[str, object]:
    """Brings a file through the contract, as `batch add` does, and gives late labels."""
    given, target = home / "given.parquet", batch_file(home, PROBLEM.name, str(rows))
    write_given(given, rows, seed=rows)
    target.parent.mkdir(parents=True, exist_ok=True)
    with Footprint() as held:
        began = time.perf_counter()
        take_in(open_given(given, given.name), PROBLEM.contract, target, lambda _: None)
        seconds = time.perf_counter() - began
    given.unlink()
    _give_labels(home, rows)
    return {"seconds": seconds, "own_mb": held.own_mb}


def _give_labels(home: Path, rows: int) -> None:
    log, random = LabelLog(labels_folder(home)), np.random.default_rng(7)
    for begin in range(0, rows, LABELS_AT_ONCE * LABELLED_EVERY):
        ids = np.arange(begin, min(rows, begin + LABELS_AT_ONCE * LABELLED_EVERY), LABELLED_EVERY)
        columns = [[str(rows)] * ids.size, ids, random.integers(0, 2, ids.size).astype(float)]
        labels = pa.table(dict(zip(GIVEN_SCHEMA.names, columns, strict=True)), schema=GIVEN_SCHEMA)
        log.append(PROBLEM.name, labels, by="benchmark")
    log.close()
    log.compact()


def _in_memory(home: Path, rows: int, params: Params) -> Mapping[str, object]:
    score, labels = Scorer(PROBLEM, _workspace(home).onnx.read_bytes()).probabilities, _late(home)

    def arrive() -> Arrived:
        read = batch_rows(home, PROBLEM.name, str(rows), labels)
        return ArrivedTable(with_probability(read, PROBLEM.contract, 1, score)[0])

    return _check(home, params, arrive)


def _on_spark(home: Path, rows: int, params: Params) -> Mapping[str, object]:
    model = _workspace(home).onnx.read_bytes()
    score = Scorer(PROBLEM, model).probabilities
    connect_ray(RayConnection("local", "benchmark"))
    spark = SparkSpec(profile=params.profile_named(params.profile), params=params.training.spark)
    with ExitStack() as stack:
        count: Count = stack.enter_context(spark_counting(CHECK_ID, spark, ("core.problems",)))

        def arrive() -> ArrivedPieces:
            return ArrivedPieces(
                batch=open_batch(home, PROBLEM.name, str(rows), _late(home)),
                problem=PROBLEM,
                version=1,
                model=model,
                told=lambda read: with_probability(read, PROBLEM.contract, 1, score)[0],
                count=count,
                on_share=lambda share, doing: None,
            )

        # No plan and one piece: the session stands when it comes back.
        warm_up = arrive()
        began = time.perf_counter()
        count(warm_up.task(()), warm_up.batch.pieces[:1], lambda share, doing: None)
        start = time.perf_counter() - began
        return {"start_seconds": start, **_check(home, params, arrive)}


def _check(home: Path, params: Params, arrive: Callable[[], Arrived]) -> Mapping[str, object]:
    reference = read_table(_workspace(home).reference)
    build_detector()  # imports NannyML, which takes seconds
    with Footprint() as held:
        began = time.perf_counter()
        arrived = arrive()
        found = examine(
            CHECK_ID,
            PROBLEM.contract,
            reference,
            arrived,
            0.5,
            History(),
            params.monitoring,
            build_detector,
            lambda percent, message: None,
        )
        labelled = arrived.labelled_rows
        seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "own_mb": held.own_mb,
        "spark_mb": held.spark_mb,
        "all_mb": held.all_mb,
        "labelled": labelled,
        "found": _found(found),
    }


def _found(found: Findings) -> str:
    """All that a report says, to be compared as text."""
    told = (found.verdict, found.compared, found.chunks, found.performance, found.reconstruction)
    return repr(told)


def _workspace(home: Path) -> Workspace:
    return Workspace(home / "workspace")


def _late(home: Path) -> LateLabels:
    return LateLabels(LabelLog(labels_folder(home)))


STEPS: Mapping[str, Callable[[Path, int, Params], Mapping[str, object]]] = {
    "train": _train,
    "take-in": _take_in,
    "in-memory": _in_memory,
    "on-spark": _on_spark,
}


if __name__ == "__main__":
    sys.exit(main())
