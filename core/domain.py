"""The words of the product as frozen values; every module speaks in these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    #: Approved, and on its way to all requests step by step.
    ROLLING_OUT = "rolling_out"
    #: It was on its way and was taken back, by a guard or by a person.
    ROLLED_BACK = "rolled_back"


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
    #: Where the frozen evidence lies among the artifacts of the run, and its SHA-256.
    evidence_path: str = ""
    evidence_sha256: str = ""
    #: The younger request that took its place.
    superseded_by: str | None = None
    #: Why a person asked for it; empty where a run brought it.
    request_reason: str = ""


@dataclass(frozen=True)
class Approval:
    """One person's yes to a promotion request."""

    request_id: str
    approved_by: str
    approved_at: datetime
    reason: str


@dataclass(frozen=True)
class Promotion:
    """One entry of the promotion record: from ``since`` on, this version serves."""

    id: str
    problem: str
    version: int
    run_id: str
    #: ``bootstrap``, ``approval``, ``rollback`` or ``automatic rollback``.
    rule: str
    decided_by: str
    reason: str
    since: datetime
    request_id: str | None = None
    #: When replicas first answered with it; ``None`` until then.
    live_at: datetime | None = None
    #: The promotion that this one takes back.
    undoes: str | None = None
    #: Whether somebody else than the one who asked had to decide, in words.
    four_eyes: str = ""
    #: Soft gates that failed or could not tell, and were passed over by a person.
    passed_over: tuple[str, ...] = ()
    #: Where the registry kept the version's files when it was decided on.
    source: str = ""
    #: SHA-256 of its bundle's page of facts then, in hex: what replicas have to load. Empty in
    #: records of releases that did not keep it.
    bundle_sha256: str = ""

    @property
    def answering_after_s(self) -> float | None:
        """Seconds from the decision to the first answer of replicas; ``None`` until then."""
        if self.live_at is None:
            return None
        return max((self.live_at - self.since).total_seconds(), 0.0)


@dataclass(frozen=True)
class SoftFinding:
    """A soft rule that rows break: accepted, counted and shown."""

    column: str
    rule: str
    rows: int


@dataclass(frozen=True)
class Batch:
    """Rows that arrived together. A row is known by the batch's id and its index in it."""

    id: str
    problem: str
    #: The file's name as it was given, for people; never a path of ours.
    name: str
    #: SHA-256 of the given bytes, by which the same file is recognised.
    sha256: str
    #: ``md5:`` and the hash by which DVC knows the stored rows.
    data_version: str
    rows: int
    #: Rows whose label came with the file.
    given_labels: int
    added_by: str
    added_at: datetime
    #: Earliest and latest timestamp, where the contract has one.
    first_at: datetime | None = None
    last_at: datetime | None = None
    #: Identifiers, leaky and reduced columns that were dropped on the way in.
    dropped: tuple[str, ...] = ()
    findings: tuple[SoftFinding, ...] = ()


class Level(StrEnum):
    """What a check comes to, from best to worst; the last says that it cannot tell."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    NOT_ENOUGH_DATA = "not enough data"


class AlertKind(StrEnum):
    """What an alert is about; one of a kind is open for a problem at a time."""

    DRIFT = "drift"
    QUALITY = "data quality"
    ESTIMATED_LOSS = "estimated loss"
    REALIZED_LOSS = "realized loss"
    #: Somebody has moved an alias in the registry; no check tells of it.
    MOVED_ALIAS = "moved alias"
    #: A guard has taken a canary back; it closes when another rollout begins or a version is
    #: approved at once.
    ROLLOUT = "rollout"


@dataclass(frozen=True)
class Check:
    """One look at what arrived, against the reference of the version in production.

    ``id`` is also its MLflow run id. Either ``batch_id`` or ``window`` is set; a window is
    ``24h`` or ``5000 rows`` of the inference log.
    """

    id: str
    problem: str
    status: RunStatus
    version: int
    started_by: str
    started_at: datetime
    batch_id: str | None = None
    window: str | None = None
    ended_at: datetime | None = None
    #: One sentence for the operator when the check failed.
    error: str | None = None
    #: What it came to, once it has finished.
    level: Level | None = None
    #: The verdict in one sentence.
    summary: str = ""
    rows: int | None = None
    #: When what it looks at arrived: its batch, or the end of its window.
    data_at: datetime | None = None
    #: Kinds of alerts that it had something to say on, once alerts have looked at it.
    told: tuple[AlertKind, ...] = ()

    @property
    def arrived_at(self) -> datetime:
        """When what it looks at arrived; when it was started where that is not known."""
        return self.data_at or self.started_at


class AlertStatus(StrEnum):
    """Where an alert stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"

    @property
    def is_open(self) -> bool:
        """Whether its condition still holds."""
        return self is not AlertStatus.CLOSED


@dataclass(frozen=True)
class Alert:
    """Something an operator should know. ``id`` is the key by which receivers drop repeats."""

    id: str
    problem: str
    kind: AlertKind
    severity: Level
    summary: str
    #: The check that has raised it; empty where none did.
    check_id: str
    status: AlertStatus
    raised_at: datetime
    #: What stands out, such as the features that drift most; worst first.
    details: tuple[str, ...] = ()
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    note: str | None = None
    closed_at: datetime | None = None
    #: The run that the alert has started, and what became of it.
    run_id: str | None = None
    outcome: str = ""


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
    #: SHA-256 of the page of facts that was loaded, in hex; empty where it is not told.
    bundle_sha256: str = ""


@dataclass(frozen=True)
class HeldBeside:
    """The second version of a problem that a replica holds for a rollout."""

    rollout: str
    step: int
    version: int
    loaded: bool
    #: Why it cannot be loaded; empty otherwise.
    failure: str = ""


@dataclass(frozen=True)
class ServingStatus:
    """Ray Serve as seen from outside."""

    health: Health
    replicas: int
    served: tuple[ServedVersion, ...]
    detail: str = ""
    #: Problem -> why the version that it should have cannot be loaded.
    failures: Mapping[str, str] = field(default_factory=dict)
    #: Problem -> what replicas hold beside Production; one that holds nothing is left out.
    beside: Mapping[str, HeldBeside] = field(default_factory=dict)
    #: Whether something else than us has put the application last, without any model.
    is_blank: bool = False


@dataclass(frozen=True)
class PredictionAnswer:
    """One answer of the served model to a request of the panel."""

    request_id: str
    model_version: int
    label: int | str
    probability: float
    latency_ms: float
