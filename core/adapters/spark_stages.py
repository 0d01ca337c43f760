"""Spark's own numbers about its stages, read in the driver JVM: no HTTP, no open port.

Spark keeps the last thousand stages (``spark.ui.retainedStages``) also without its pages.
Those that finished since the last look are turned into JSON inside the JVM, so that any
number of them costs one call.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping
from typing import Any

from pyspark.sql import SparkSession

from core.training.resources import SLOWEST_STAGES
from core.training.usage import StageCost

_MEDIAN, _MAXIMUM = 0.5, 1.0
_MIB = 2**20
_SETTLE_MS = 5_000


class StageLog:
    """Stages that are submitted to a session from now on, once they have finished."""

    def __init__(self, session: SparkSession) -> None:
        jvm = session.sparkContext._jvm
        self._context = session.sparkContext._jsc.sc()
        self._store = self._context.statusStore()
        self._kind = jvm.java.lang.Class.forName("org.apache.spark.status.StageDataWrapper")
        self._mapper = jvm.com.fasterxml.jackson.databind.ObjectMapper()
        self._mapper.registerModule(jvm.com.fasterxml.jackson.module.scala.DefaultScalaModule())
        include = jvm.com.fasterxml.jackson.annotation.JsonInclude.Include
        # Most of a stage's hundred numbers are 0.
        self._mapper.setSerializationInclusion(include.NON_DEFAULT)
        self._quantiles = session.sparkContext._gateway.new_array(jvm.double, 2)
        self._quantiles[0], self._quantiles[1] = _MEDIAN, _MAXIMUM
        # Of the JVM's clock, which also dates the stages.
        self._began_ms = int(jvm.java.lang.System.currentTimeMillis())
        self._seen_ms = self._began_ms
        self._stages: dict[tuple[int, int], StageCost] = {}

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """What was read so far, in order of completion."""
        return tuple(self._stages.values())

    def read(self) -> None:
        """Adds the stages that finished since the last call."""
        view = self._store.store().view(self._kind).index("completionTime").first(self._seen_ms)
        fresh = []
        for wrapper in json.loads(self._mapper.writeValueAsString(view)):
            found = wrapper["info"]
            key = (found.get("stageId", 0), found.get("attemptId", 0))
            self._seen_ms = max(self._seen_ms, found["completionTime"])
            # Two may have finished within the last millisecond that was seen.
            if key not in self._stages and found["submissionTime"] >= self._began_ms:
                self._stages[key] = _cost(found, self._began_ms)
                fresh.append(key)
        # A summary of tasks is a call of its own, and only the slowest stages are shown.
        least_s = min(heapq.nlargest(SLOWEST_STAGES, (s.seconds for s in self.stages)), default=0)
        for key in fresh:
            stage = self._stages[key]
            if stage.tasks > 1 and stage.seconds >= least_s:
                self._stages[key] = stage.model_copy(update={"skew": self._skew(*key)})

    def settle(self) -> None:
        """Waits until Spark has written down what it finished, then reads it."""
        self._context.listenerBus().waitUntilEmpty(_SETTLE_MS)
        self.read()

    def _skew(self, stage_id: int, attempt: int) -> float | None:
        summary = self._store.taskSummary(stage_id, attempt, self._quantiles)
        if not summary.isDefined():
            return None
        duration = summary.get().duration()
        median = float(duration.apply(0))
        return float(duration.apply(1)) / median if median else None


def _cost(found: Mapping[str, Any], began_ms: int) -> StageCost:
    """Spark's ``StageData`` (times in ms, sizes in bytes, zeros left out) as a value."""
    moved = found.get("shuffleReadBytes", 0) + found.get("shuffleWriteBytes", 0)
    return StageCost(
        id=found.get("stageId", 0),
        description=found.get("description") or found["name"],
        begin_s=(found["submissionTime"] - began_ms) / 1000,
        seconds=(found["completionTime"] - found["submissionTime"]) / 1000,
        tasks=found.get("numTasks", 0),
        task_s=found.get("executorRunTime", 0) / 1000,
        gc_s=found.get("jvmGcTime", 0) / 1000,
        shuffle_mb=moved / _MIB,
        spilled_mb=found.get("diskBytesSpilled", 0) / _MIB,
        peak_execution_memory_mb=found.get("peakExecutionMemory", 0) / _MIB,
        skew=None,
    )
