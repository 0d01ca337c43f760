"""How long each stage of a run took: as metrics of the run, and read back from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.domain import Stage

WAS_WARM = "spark_was_warm"


@dataclass(frozen=True)
class StageTime:
    """One stage and its wall seconds."""

    stage: Stage
    seconds: float


@dataclass(frozen=True)
class StageTimes:
    """The stages of a run in their order.

    What is missing to the time of the whole run went by before the first one, while the
    job was submitted and its process started, and after the last.
    """

    stages: tuple[StageTime, ...]
    #: Whether the session of an earlier run was there, so that no Spark had to start.
    spark_was_warm: bool

    @property
    def seconds(self) -> float:
        """Wall seconds of all stages together."""
        return sum(one.seconds for one in self.stages)


def metric_of(stage: Stage) -> str:
    """Name of the metric that holds a stage's wall seconds."""
    return f"stage.{stage.value.replace(' ', '_')}_seconds"


def metrics_of(seconds: Mapping[Stage, float], *, spark_was_warm: bool) -> dict[str, float]:
    """What is logged of a run's stages."""
    times = {metric_of(stage): taken for stage, taken in seconds.items()}
    return times | {WAS_WARM: float(spark_was_warm)}


def stage_times(metrics: Mapping[str, float]) -> StageTimes | None:
    """Reads the metrics of a run; ``None`` if it logged no stages."""
    found = tuple(
        StageTime(stage, metrics[metric_of(stage)])
        for stage in Stage
        if metric_of(stage) in metrics
    )
    return StageTimes(found, metrics.get(WAS_WARM, 0.0) > 0) if found else None
