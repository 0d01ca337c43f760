"""The resource meter: what work in a Spark session on Ray costs, on every node.

The session may be warm: only what happens between the meter's begin and end counts.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from pyspark.sql import SparkSession
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from ray.util.state import list_actors

from core.adapters.spark_stages import StageLog
from core.training.process_reader import REFRESH_S, ProcessReader
from core.training.resources import Part, Sample, Ticker, summarize
from core.training.usage import Phase, Usage

LOG = logging.getLogger(__name__)
EXECUTOR = "raydp-executor"
STAGES_EVERY_S = 2.0
#: How long a look waits for other nodes; a later answer counts with the next look.
ANSWER_S = 0.2
STOP_TIMEOUT_S = 10.0


class SparkMeter:
    """Measures what is done in a session between entering and leaving it.

    ``with SparkMeter(spark) as meter: with meter.phase("train"): …`` and, after it,
    ``meter.usage(cores)``. Ray is connected, and its namespace is the session's. Nothing
    that goes wrong in it reaches the work.
    """

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        self._began_at = time.monotonic()
        self._read_at = -STAGES_EVERY_S
        self._ticker = Ticker(self._tick)
        self._processes: _Processes | None = None
        self._log: StageLog | None = None
        self._samples: list[Sample] = []
        self._phases: list[Phase] = []

    def __enter__(self) -> SparkMeter:
        self._began_at = time.monotonic()
        _attempt(self._begin)
        return self

    def __exit__(self, *_: object) -> None:
        # A tick that does not come back waits for a JVM that is gone: asking it again
        # would wait as well.
        if self._processes is not None and self._ticker.stop(STOP_TIMEOUT_S):
            _attempt(self._end)
        if self._processes is not None:
            _attempt(self._processes.close)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Marks what is done inside as a phase of the work."""
        begin_s = self._now_s()
        try:
            yield
        finally:
            self._phases.append(Phase(name=name, begin_s=begin_s, end_s=self._now_s()))

    def usage(self, cores: int) -> Usage | None:
        """The bill, once the meter has ended; ``None`` if nothing could be measured.

        ``cores`` are those of all executors together.
        """
        stages = self._log.stages if self._log is not None else ()
        return summarize(self._samples, self._phases, stages, cores)

    def _now_s(self) -> float:
        return time.monotonic() - self._began_at

    def _begin(self) -> None:
        self._processes = _Processes(self._session)
        self._log = StageLog(self._session)
        self._samples += self._processes.look(0.0)
        self._ticker.start()

    def _tick(self) -> None:
        if self._processes is not None:
            self._samples += self._processes.look(self._now_s())
        if self._log is not None and self._now_s() - self._read_at >= STAGES_EVERY_S:
            self._read_at = self._now_s()
            self._log.read()

    def _end(self) -> None:
        if self._processes is not None:
            self._samples += self._processes.look(self._now_s())
        if self._log is not None:
            self._log.settle()
        wall_s = self._now_s()
        percent = 100 * self._ticker.cpu_s / wall_s
        LOG.info("measured for %.1f s; measuring took %.2f %% of a core", wall_s, percent)


def _attempt(step: Callable[[], None]) -> None:
    """Takes a step of measuring; work does not fail for want of its bill."""
    try:
        step()
    except Exception:  # py4j, Ray and psutil each raise their own kinds
        LOG.warning("what the work costs cannot be read", exc_info=True)


class _Processes:
    """The session's JVMs with their Python workers: the driver's here, executors anywhere.

    Executors are looked for every ``REFRESH_S``: Ray's list of actors costs more than a
    look. On another node that hosts executors an actor reads them; it asks for no CPU.
    """

    def __init__(self, session: SparkSession) -> None:
        context = ray.get_runtime_context()
        self._namespace = context.namespace
        # Left to itself, Ray looks for any cluster on the machine; there may be several.
        self._address = context.gcs_address
        self._node = context.get_node_id()
        self._driver = int(session.sparkContext._jvm.java.lang.ProcessHandle.current().pid())
        self._own = ProcessReader()
        self._readers: dict[str, Any] = {}
        #: The one question to each reader that is not answered yet.
        self._asked: dict[str, Any] = {}
        self._executors: dict[str, list[int]] = {}
        self._found_at = -REFRESH_S
        #: Id of a node -> what it is called where its executors are shown.
        self._names = _node_names()

    def look(self, at_s: float) -> list[Sample]:
        """Every process that can be seen now."""
        if at_s - self._found_at >= REFRESH_S:
            self._found_at = at_s
            self._find()
        self._ask()
        readings = self._own.read([self._driver, *self._executors.get(self._node, [])])
        parts = {self._driver: Part.DRIVER}
        here = self._name(self._node)
        samples = [Sample(at_s, here, parts.get(r.pid, Part.EXECUTOR), r) for r in readings]
        return samples + self._answers(at_s)

    def close(self) -> None:
        """Ends the readers on other nodes."""
        for reader in self._readers.values():
            ray.kill(reader)
        self._readers.clear()

    def _find(self) -> None:
        actors = list_actors(
            address=self._address,
            detail=True,
            limit=1000,
            filters=[("state", "=", "ALIVE"), ("ray_namespace", "=", self._namespace)],
        )
        found: dict[str, list[int]] = defaultdict(list)
        for actor in actors:
            if (actor.name or "").startswith(EXECUTOR) and actor.pid:
                found[actor.node_id].append(int(actor.pid))
        self._executors = dict(found)
        if set(found) - set(self._names):
            self._names |= _node_names()

    def _ask(self) -> None:
        for node, pids in self._executors.items():
            if node == self._node or node in self._asked:
                continue
            if node not in self._readers:
                here = NodeAffinitySchedulingStrategy(node, soft=False)
                actor = ray.remote(num_cpus=0)(ProcessReader)
                self._readers[node] = actor.options(scheduling_strategy=here).remote()
            self._asked[node] = self._readers[node].read.remote(pids)

    def _answers(self, at_s: float) -> list[Sample]:
        if not self._asked:
            return []
        waiting = list(self._asked.values())
        ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=ANSWER_S)
        samples: list[Sample] = []
        for node in [node for node, question in self._asked.items() if question in ready]:
            question = self._asked.pop(node)
            try:
                readings = ray.get(question)
            except RayError:  # the node is gone, or the reader was killed
                self._readers.pop(node, None)
                continue
            name = self._name(node)
            samples += [Sample(at_s, name, Part.EXECUTOR, reading) for reading in readings]
        return samples

    def _name(self, node: str) -> str:
        return self._names.get(node, node[:8])


def _node_names() -> dict[str, str]:
    """Id of each node -> its address with the beginning of the id, as several may share one."""
    return {
        node["NodeID"]: f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})"
        for node in ray.nodes()
    }
