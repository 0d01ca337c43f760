"""What a replica writes down: answers, late labels, use of keys, counts; no Ray inside."""

from __future__ import annotations

import threading

import pyarrow as pa

from core.data.labels import BY_HTTP, LabelLog
from core.deployment.endpoint import EndpointConfig
from core.errors import UnavailableError
from serve.counts import Counts
from serve.gate import Gate
from serve.key_use import KeyUse
from serve.metrics_file import MetricsFile
from serve.recorder import Recorder
from serve.rollout_file import RolloutFiles
from serve.store import ModelStore


class ReplicaLogs:
    """The logs of one replica. ``replica`` is unique, since it names the files it writes."""

    def __init__(self, replica: str) -> None:
        self.counts = Counts(replica)
        self.inference = Recorder(replica, self.counts.add_lost)
        self._replica = replica
        self._changing = threading.Lock()
        self._config: EndpointConfig | None = None
        self._labels: LabelLog | None = None
        self._key_use: KeyUse | None = None
        self._metrics: MetricsFile | None = None
        self._rollouts: RolloutFiles | None = None

    def note_use_of_keys(self, gate: Gate) -> None:
        """Notes from now on when a key was last used."""
        self._key_use = KeyUse(self._replica, gate)

    def tell_metrics(self, store: ModelStore) -> None:
        """Tells the other replicas from now on what this one has counted."""
        self._metrics = MetricsFile(self.counts, store)

    def note_rollouts(self, store: ModelStore) -> None:
        """Tells the core from now on what this replica has counted of rollouts."""
        self._rollouts = RolloutFiles(self._replica, store)

    def configure(self, config: EndpointConfig) -> None:
        """Says where to write from now on; what is under way is finished first."""
        self.inference.configure(config.inference)
        with self._changing:
            if self._labels is None or self._config is None or self._config.labels != config.labels:
                self._close_labels()
                self._labels = LabelLog(config.labels, self._replica)
            self._config = config

    def keep_labels(self, problem: str, labels: pa.Table) -> None:
        """Writes labels of ``GIVEN_SCHEMA``; on return the disk has them.

        Raises:
            UnavailableError: they cannot be written; none of them is kept.
        """
        with self._changing:
            if self._labels is None:
                raise UnavailableError("The replica does not know yet where labels are kept.")
            self._labels.append(problem, labels, by=BY_HTTP)

    def close(self) -> None:
        """Writes what waits and ends every segment."""
        self.inference.close()
        if self._key_use is not None:
            self._key_use.close()
        if self._metrics is not None:
            self._metrics.close()
        if self._rollouts is not None:
            self._rollouts.close()
        with self._changing:
            self._close_labels()

    def _close_labels(self) -> None:
        if self._labels is not None:
            self._labels.close()
        self._labels = None
