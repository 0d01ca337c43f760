"""How much memory a process and all that it has started hold together."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

POLL_S = 0.5
_SPARK = ("pyspark", "SparkHolder")


class Footprint(threading.Thread):
    """Looks twice a second, as a context manager; keeps the largest sums in MiB.

    Memory that processes share counts in parts (proportional set size), so sums are true.
    """

    def __init__(self) -> None:
        super().__init__(name="footprint", daemon=True)
        self._done = threading.Event()
        #: This process; Spark's driver, executors and their Python; both and Ray's own.
        self.own_mb = self.spark_mb = self.all_mb = 0.0

    def __enter__(self) -> Footprint:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        """Looks until the block ends."""
        while not self._done.wait(POLL_S):
            self._look()

    def _look(self) -> None:
        me = psutil.Process()
        own, spark, rest = _mb(me), 0.0, 0.0
        for process in me.children(recursive=True):
            with suppress(psutil.Error):
                held = _mb(process)
                if is_spark(process.cmdline()):
                    spark += held
                else:
                    rest += held
        self.own_mb = max(self.own_mb, own)
        self.spark_mb = max(self.spark_mb, spark)
        self.all_mb = max(self.all_mb, own + spark + rest)


def is_spark(command: Sequence[str]) -> bool:
    """Whether a process is a JVM of Spark, or Python that works for one.

    Ray's own node has a JVM's command line among its options, and is none.
    """
    program = Path(command[0]).name if command else ""
    return program == "java" or any(mark in " ".join(command) for mark in _SPARK)


def _mb(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / 2**20
