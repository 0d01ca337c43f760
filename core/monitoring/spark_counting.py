"""Counts pieces of a batch in a warm Spark session on Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from core.adapters.raydp import RayConnection, connect_ray
from core.adapters.spark_holder import SparkPlan
from core.adapters.spark_lease import SparkLease
from core.adapters.spark_pieces import WORK_STAGE, PieceWork, reduce_pieces
from core.data.batch_pieces import Piece
from core.domain import Stage
from core.monitoring.columns import Tallies, merge_tallies
from core.monitoring.counting import Count, CountTask, OnShare, count_piece
from core.monitoring.job_spec import SparkSpec
from core.training.provenance import code_digest


@contextmanager
def spark_counting(check_id: str, spark: SparkSpec, packages: Sequence[str]) -> Iterator[Count]:
    """Joins Ray and borrows a session for the block; it is found or started in the background.

    Raises:
        UnavailableError: there is no Ray to join.
    """
    connect_ray(RayConnection("auto", f"check-{check_id}"))
    plan = SparkPlan(spark.profile, spark.params, code_digest(packages))
    with SparkLease(f"check-{check_id}", plan) as lease:

        def count(task: CountTask, pieces: Sequence[Piece], on_share: OnShare) -> Tallies:
            work = PieceWork(
                function=partial(count_piece, task),
                merge=merge_tallies,
                pieces=tuple(pieces),
                cores=spark.profile.cores,
                by_value=task.problem.modules,
            )

            def on_progress(stage: Stage, share: float, message: str) -> None:
                doing = "counting values on Spark, " if stage is WORK_STAGE else f"{stage.value}: "
                on_share(share, f"{doing}{message}")

            counted: Tallies = lease.run(reduce_pieces, work, on_progress)
            return counted

        yield count
