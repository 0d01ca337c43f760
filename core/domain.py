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
