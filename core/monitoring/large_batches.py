"""Which batches a check does not hold in memory, and what Spark is given to count them."""

from __future__ import annotations

from core.adapters.ray import RayCluster
from core.domain import Batch
from core.errors import ResourceError
from core.monitoring.job_spec import SparkSpec
from core.params import Params
from core.training.jobs import node_capacities
from core.training.preflight import check_profile


def session_for(batch: Batch, params: Params, cluster: RayCluster) -> SparkSpec | None:
    """What the check of a batch asks of Spark; ``None`` where memory holds the rows.

    It is what a training run asks for unless told otherwise, so that both share a session.

    Raises:
        ResourceError: the cluster cannot give it.
        UnavailableError: Ray does not answer.
    """
    most = params.monitoring.in_memory_rows
    if batch.rows <= most:
        return None
    profile = params.profile_named(params.profile)
    nodes = node_capacities(cluster)
    try:
        check_profile(profile, nodes)
    except ResourceError as exc:
        raise ResourceError(
            f"Batch {batch.id} has {batch.rows:,} rows, and above {most:,} Spark counts them. "
            f"{exc.message}",
            fix="Choose a smaller `profile` in params.yaml, declare more CPUs with "
            "PILOTHOUSE_RAY_CPUS, or raise monitoring.in_memory_rows.",
        ) from exc
    return SparkSpec(profile=profile, params=params.training.spark)
