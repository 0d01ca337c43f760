"""The words of the product as frozen values; every module speaks in these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RunStatus(StrEnum):
    """Where a training run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_active(self) -> bool:
        """Whether the run still holds resources or may come to hold them."""
        return self in (RunStatus.QUEUED, RunStatus.RUNNING)


class Stage(StrEnum):
    """The stages of a run, in order."""

    INGEST = "ingest"
    VALIDATE = "validate"
    START = "start Spark"
    PREPROCESS = "preprocess"
    TRAIN = "train"
    EVALUATE = "evaluate"
    REGISTER = "register"


@dataclass(frozen=True)
class Progress:
    """What a run is doing now. ``percent`` is 0 to 100 of the whole run."""

    stage: Stage
    percent: int
    message: str = ""


@dataclass(frozen=True)
class Run:
    """One training run. ``id`` is also its MLflow run id."""

    id: str
    problem: str
    status: RunStatus
    profile: str
    started_by: str
    started_at: datetime
    ended_at: datetime | None = None
    progress: Progress | None = None
    #: One sentence for the operator when the run failed.
    error: str | None = None
    #: The registered version, once there is one.
    model_version: int | None = None


@dataclass(frozen=True)
class Sweep:
    """One sweep over resource profiles. ``id`` is also its MLflow run id.

    ``profiles`` are names; each family is searched ``repeat`` times with each of them.
    """

    id: str
    problem: str
    status: RunStatus
    profiles: tuple[str, ...]
    families: tuple[str, ...]
    repeat: int
    started_by: str
    started_at: datetime
    ended_at: datetime | None = None
    progress: Progress | None = None
    #: One sentence for the operator when the sweep failed.
    error: str | None = None


@dataclass(frozen=True)
class ModelVersion:
    """One registered version of a problem's model."""

    problem: str
    version: int
    run_id: str
    created_at: datetime
    family: str
    #: Address of the artifacts in MLflow, such as ``mlflow-artifacts:/...``.
    source: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    aliases: tuple[str, ...] = ()


class RequestStatus(StrEnum):
    """Where a promotion request stands."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    STALE = "stale"


class Verdict(StrEnum):
    """What a gate says."""

    PASS = "pass"
    FAIL = "fail"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class GateResult:
    """One gate: what was measured, against what limit, and what follows."""

    gate: str
    verdict: Verdict
    measured: float | None
    limit: float | None
    reason: str
    hard: bool = False


@dataclass(frozen=True)
class PromotionRequest:
    """A candidate that waits for a person, or what became of it."""

    id: str
    problem: str
    version: int
    run_id: str
    status: RequestStatus
    requested_by: str
    requested_at: datetime
    incumbent_version: int | None
    gates: tuple[GateResult, ...]
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Promotion:
    """One entry of the promotion record: from ``since`` on, this version serves."""

    id: str
    problem: str
    version: int
    run_id: str
    #: ``bootstrap``, ``approval`` or ``rollback``.
    rule: str
    decided_by: str
    reason: str
    since: datetime
    request_id: str | None = None


class Health(StrEnum):
    """Whether a service can be used."""

    HEALTHY = "healthy"
    STARTING = "starting"
    DOWN = "down"


@dataclass(frozen=True)
class ServiceStatus:
    """One service of the installation."""

    name: str
    address: str
    health: Health
    #: What is wrong and what to do, or an empty text.
    detail: str = ""


@dataclass(frozen=True)
class ServedVersion:
    """What replicas answer with for one problem."""

    problem: str
    version: int
    run_id: str
    family: str
    threshold: float


@dataclass(frozen=True)
class ServingStatus:
    """Ray Serve as seen from outside."""

    health: Health
    replicas: int
    served: tuple[ServedVersion, ...]
    detail: str = ""


@dataclass(frozen=True)
class PredictionAnswer:
    """One answer of the served model to a request of the panel."""

    request_id: str
    model_version: int
    label: int | str
    probability: float
    latency_ms: float
