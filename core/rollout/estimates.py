"""Estimated performance of both versions of a canary on what each has answered.

Each is estimated without labels, from the probabilities that it gave and from what its own
training run keeps as a reference. The numbers are of different rows, those that each has answered,
so they compare two versions as far as both were asked alike.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from core.adapters.mlflow import RunTracker
from core.adapters.mlflow_registry import ModelRegistry
from core.data.batch_files import AT, LABEL
from core.deployment.inference_log import PROBABILITY, VERSION, InferenceLog
from core.errors import PilothouseError
from core.frozen import Frozen
from core.kept_files import write_durably
from core.monitoring.reference import reference_table
from core.monitoring.sampling import draw
from core.params import Params
from core.params_monitoring import PerformanceParams
from core.rollout.notes import rollouts_folder
from core.rollout.steps import Estimates
from core.rollout.values import Rollout
from core.scoring.bundle import bundles_folder
from core.wording import count

LOG = logging.getLogger(__name__)

#: Estimates are made anew no sooner: two of them take half a second of CPU time.
EVERY = timedelta(seconds=30)
#: Rows of each version, and of its reference, that an estimate rests on at most.
MOST_ROWS = 20_000
#: Rows of the inference log that are held in memory, the latest.
MOST_READ_ROWS = 1_000_000

#: Estimates the first metric: of a reference with ``probability`` and ``label``, of answered rows
#: with ``probability``, at a decision threshold. Returns the value, or ``None`` and why.
EstimatePerformance = Callable[
    [pa.Table, pa.Table, float, PerformanceParams], tuple[float | None, str]
]


class _Kept(Frozen):
    """What lies in the file."""

    at: datetime
    told: Estimates


@dataclass(frozen=True)
class _Version:
    """What has to be known of a version; it never changes."""

    run_id: str
    threshold: float


class Estimator:
    """Estimates both versions of a canary; not for several threads.

    ``estimate`` loads NannyML when it is called first, which takes seconds and some 300 MB, so
    whoever asks should be able to wait.
    """

    def __init__(
        self,
        params: Params,
        log: InferenceLog,
        tracker: RunTracker,
        registry: ModelRegistry,
        home: Path,
        estimate: EstimatePerformance,
    ) -> None:
        self._params = params.monitoring
        self._minimum_rows = params.rollout.canary.minimum_rows
        self._log = log
        self._tracker = tracker
        self._registry = registry
        self._home = home
        self._estimate = estimate
        self._known: dict[tuple[str, int], _Version] = {}

    def latest(self, rollout: Rollout, now: datetime) -> Estimates:
        """Estimates of the step that a canary is in: those that are kept, or new ones.

        Where they are older than ``EVERY``, or of another step, they are made anew and kept. What
        stands in the way is in their note.
        """
        folder = rollouts_folder(self._home)
        kept = _read(folder, rollout.id)
        if (
            kept is not None
            and kept.told.step == rollout.step
            and timedelta() <= now - kept.at < EVERY
        ):
            return kept.told
        made = self.of(rollout, rollout.step_since, now)
        try:
            keep_estimates(folder, rollout.id, made, now)
        except OSError as exc:
            LOG.warning("estimates of rollout %s are not kept: %s", rollout.id, exc)
        return made

    def of(self, rollout: Rollout, step_since: datetime, until: datetime) -> Estimates:
        """Estimates both versions on what they answered from ``step_since`` up to ``until``.

        In the last step, in which the version before answers nothing, what it has answered since
        the rollout began counts. What stands in the way is in the note, never an error.
        """
        since = rollout.started_at if rollout.is_last_step else step_since
        new, old, notes = None, None, []
        news = olds = pa.table({PROBABILITY: pa.array([], pa.float64())})
        try:
            rows = self._rows(rollout.problem, since, until)
            news = _answered_by(rows.filter(pc.field(AT) >= step_since), rollout.version)
            olds = _answered_by(rows, rollout.incumbent_version)
            if min(news.num_rows, olds.num_rows) < self._minimum_rows:
                notes.append(self._too_few(rollout, news.num_rows, olds.num_rows))
            else:
                new, why_not_new = self._estimated(rollout, rollout.version, news)
                old, why_not_old = self._estimated(rollout, rollout.incumbent_version, olds)
                notes += [one for one in (why_not_new, why_not_old) if one]
        except (PilothouseError, OSError, pa.ArrowException) as exc:
            notes.append(f"Performance cannot be estimated: {exc}")
        metric = self._params.performance.metrics[0]
        rows_of = (news.num_rows, olds.num_rows)
        return Estimates(rollout.step, metric, new, old, *rows_of, " ".join(notes))

    def _rows(self, problem: str, since: datetime, until: datetime) -> pa.Table:
        wanted = (AT, VERSION, PROBABILITY)
        rows = self._log.window(problem, since=since, last_rows=MOST_READ_ROWS, columns=wanted)
        return rows.filter(pc.field(AT) < until)

    def _estimated(
        self, rollout: Rollout, version: int, answered: pa.Table
    ) -> tuple[float | None, str]:
        """The first metric of a version, or why there is none.

        Raises:
            NotFoundError: the version, or the reference of its run, is gone.
            TrainingError: the files of the version are damaged.
            UnavailableError: MLflow does not answer and there is no local copy.
        """
        known = self._version(rollout.problem, version)
        table = reference_table(self._tracker, known.run_id, self._home)
        seed = self._params.seed
        reference = draw(table.select([PROBABILITY, LABEL]), MOST_ROWS, seed)
        rows = draw(answered, MOST_ROWS, seed)
        value, note = self._estimate(reference, rows, known.threshold, self._params.performance)
        return value, f"v{version}: {note}." if note else ""

    def _version(self, problem: str, version: int) -> _Version:
        known = self._known.get((problem, version))
        if known is None:
            found = self._registry.get(problem, version)
            facts = self._registry.bundle(found, bundles_folder(self._home)).facts
            known = self._known[problem, version] = _Version(found.run_id, facts.threshold)
        return known

    def _too_few(self, rollout: Rollout, new: int, old: int) -> str:
        of_old = f"{old:,} of v{rollout.incumbent_version}"
        return (
            f"{count(new, 'row')} of v{rollout.version} and {of_old}: "
            f"performance is estimated from {self._minimum_rows:,} of each on."
        )


def read_estimates(folder: Path, rollout_id: str) -> Estimates | None:
    """The estimates of a rollout that were kept last; ``None`` where there are none.

    ``folder`` is that of all rollouts.
    """
    kept = _read(folder, rollout_id)
    return None if kept is None else kept.told


def keep_estimates(folder: Path, rollout_id: str, told: Estimates, at: datetime) -> None:
    """Replaces the kept estimates of a rollout by those made at ``at``.

    Raises:
        OSError: they cannot be written.
    """
    kept = _Kept(at=at, told=told)
    write_durably(_file(folder, rollout_id), kept.model_dump_json().encode())


def _read(folder: Path, rollout_id: str) -> _Kept | None:
    try:
        return _Kept.model_validate_json(_file(folder, rollout_id).read_bytes())
    except (OSError, ValidationError):
        # Not made yet, or by another release: they are made anew.
        return None


def _file(folder: Path, rollout_id: str) -> Path:
    # Hidden, because the others of the folder are replicas' notes.
    return folder / rollout_id / ".estimates.json"


def _answered_by(rows: pa.Table, version: int) -> pa.Table:
    mine = (pc.field(VERSION) == version) & pc.is_finite(pc.field(PROBABILITY))
    return rows.filter(mine).select([PROBABILITY])
