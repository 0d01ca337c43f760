"""Does one thing with many pieces of data on Spark's executors, and puts the results together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.sql import SparkSession

from core.adapters.spark_holder import OnProgress
from core.adapters.spark_shipping import ship_by_value
from core.domain import Stage
from core.errors import TrainingError

#: Under which progress is told once Spark is there.
WORK_STAGE = Stage.EVALUATE
#: Pieces that each core gets between two words of progress: more leave no core idle while
#: the last one is done, fewer are heard of sooner.
PIECES_A_CORE = 3


@dataclass(frozen=True, eq=False)
class PieceWork:
    """A function over pieces. All of it can be pickled.

    ``merge`` puts two results together; the order of results must not matter to it.
    """

    function: Callable[[Any], Any]
    merge: Callable[[Any, Any], Any]
    #: At least one.
    pieces: Sequence[Any]
    #: Cores of all executors together.
    cores: int
    #: Modules whose functions travel by value.
    by_value: Collection[str] = ()


def reduce_pieces(spark: SparkSession, work: PieceWork, on_progress: OnProgress) -> Any:
    """Returns ``merge`` over what ``function`` gives for each piece.

    Raises:
        TrainingError: the function failed on an executor.
    """
    ship_by_value(work.by_value)
    total, step = len(work.pieces), work.cores * PIECES_A_CORE
    merged: list[Any] = []
    for begin in range(0, total, step):
        on_progress(WORK_STAGE, begin / total, f"{begin} of {total} pieces")
        some = work.pieces[begin : begin + step]
        spread = spark.sparkContext.parallelize(some, len(some))
        try:
            found = spread.map(work.function).collect()
        except Py4JJavaError as exc:
            raise TrainingError(
                f"A piece could not be worked on by Spark: {_last_word(exc)}",
                fix="Every node must see the same PILOTHOUSE_HOME, or reach the S3 store; the log "
                "has the rest.",
            ) from exc
        # Merged at once, so that no more than this round's results are held.
        merged = [reduce(work.merge, [*merged, *found])]
    return merged[0]


def _last_word(exc: Py4JJavaError) -> str:
    """The last line of Python's own trace, which Spark quotes among Java's."""
    lines = [line.strip() for line in str(exc.java_exception).splitlines()]
    errors = [line for line in lines if "Error: " in line and not line.startswith("at ")]
    return errors[-1] if errors else type(exc).__name__
