"""From an answer back to its causes: each link as a value, or why it is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.deployment.replay import Replay
from core.domain import Approval, Batch, ModelVersion, Promotion, PromotionRequest, RequestStatus
from core.errors import NotFoundError
from core.params_inference import InferenceLogParams
from core.rollout.values import Rollout, RolloutKind

#: For so long replicas may go on with what has ended.
SWITCHING = timedelta(seconds=60)
#: Records that are shown at once.
PAGE_ROWS = 100
_UNKNOWN, _DIRTY = "unknown", "-dirty"
#: A replica that has trouble writing tries for a while; until then nobody is alarmed.
_GRACE_S = 10.0


@dataclass(frozen=True)
class Missing:
    """A link that cannot be shown, and why, in one sentence."""

    missing: str
    #: Nothing was lost: there never was one, and none is needed.
    is_expected: bool = False


@dataclass(frozen=True)
class LoggedRow:
    """One record as the model got it, and what it gave. A missing value is ``None``."""

    index: int
    features: Mapping[str, float | str | None]
    probability: float


@dataclass(frozen=True)
class LoggedAnswer:
    """What the inference log has; ``rows`` are ``records`` from ``skipped`` on, or some."""

    version: int
    at: datetime
    records: int
    skipped: int
    rows: tuple[LoggedRow, ...]


@dataclass(frozen=True)
class TrainingRun:
    """The run that trained the version."""

    id: str
    family: str
    params: Mapping[str, str]
    profile: str
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    #: What is left out, and why; empty if nothing is.
    remark: str = ""


@dataclass(frozen=True)
class LearnedBatch:
    """A batch among the training rows; ``rows`` of it were learned from."""

    id: str
    rows: int
    batch: Batch | Missing


@dataclass(frozen=True)
class TrainingData:
    """What the version was trained on."""

    #: Where the problem's own rows come from, by today's code.
    source: str
    #: ``md5:`` and the hash of all rows that were ingested, by which DVC knows them.
    data_version: str | Missing
    batches: tuple[LearnedBatch, ...] | Missing
    #: File below ``PILOTHOUSE_HOME`` in which DVC has them; empty where nothing was given to it.
    data_file: str = ""


@dataclass(frozen=True)
class TrainingCode:
    """What the version was trained with. ``digest`` is a SHA-256 over the code's files."""

    git_commit: str | Missing
    digest: str | Missing
    remark: str = ""


@dataclass(frozen=True)
class EvidenceRef:
    """Where the frozen evidence lies among the artifacts of the run, and its SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Lineage:
    """An answer, and the chain behind it. ``id`` is the request's."""

    id: str
    problem: str
    answer: LoggedAnswer
    version: ModelVersion | Missing
    run: TrainingRun | Missing
    data: TrainingData
    code: TrainingCode
    #: By which the version was Production when it answered.
    promotion: Promotion | Missing
    #: What else the record says of that moment; empty if nothing.
    promotion_remark: str
    request: PromotionRequest | Missing
    approvals: tuple[Approval, ...]
    evidence: EvidenceRef | Missing
    #: ``None`` where nobody asked for it.
    replay: Replay | Missing | None = None


def made_production(
    history: Sequence[Promotion], version: int, at: datetime
) -> Promotion | Missing:
    """The last promotion before ``at`` that named the version; ``history`` is newest first."""
    named = [one for one in history if one.version == version]
    before = next((one for one in named if one.since <= at), None)
    if before is not None:
        return before
    if not named:
        return Missing(
            f"The promotion record never named v{version}: it answered without being Production."
        )
    return Missing(
        f"The promotion record named v{version} only later, {_moment(named[-1].since)}: "
        "it answered before it was Production."
    )


def canary_behind(
    history: Sequence[Promotion], rollouts: Sequence[Rollout], version: int, at: datetime
) -> Rollout | None:
    """The canary as which a version answered beside Production; ``None`` where it was none.

    Args:
        history: the promotion record of the problem, newest first.
        rollouts: its shadows and canaries.
        version: of the answer.
        at: when it answered.
    """
    standing = next((one for one in history if one.since <= at), None)
    if standing is None or standing.version == version:
        return None
    return next(
        (
            one
            for one in rollouts
            if one.kind is RolloutKind.CANARY
            and one.version == version
            and one.started_at <= at
            # Replicas go on for a moment when a rollout has ended.
            and (one.ended_at is None or at <= one.ended_at + SWITCHING)
        ),
        None,
    )


def remark_on(
    history: Sequence[Promotion], version: int, at: datetime, canary: Rollout | None = None
) -> str:
    """Says if the record named another version when this one answered; newest first."""
    standing = next((one for one in history if one.since <= at), None)
    if standing is None or standing.version == version:
        return ""
    if canary is not None:
        return (
            f"It answered as a canary beside v{canary.incumbent_version}, in rollout {canary.id} "
            f"of {_moment(canary.started_at)}: {canary.status.value}."
        )
    return (
        f"When it answered, the record had named v{standing.version} since "
        f"{_moment(standing.since)}: replicas were still being switched, "
        f"or v{version} answered beside Production."
    )


def request_behind(
    promotion: Promotion | Missing, requests: Sequence[PromotionRequest]
) -> PromotionRequest | Missing:
    """The request that a person decided; ``requests`` are the problem's, newest first.

    A rollback has none: then it is the one by which the version came to Production before.
    """
    if isinstance(promotion, Missing):
        return Missing("Without a promotion there is no request.", promotion.is_expected)
    if promotion.request_id is not None:
        found = next((one for one in requests if one.id == promotion.request_id), None)
        return found or Missing(f"Request {promotion.request_id} is not in the database.")
    for request in requests:
        is_its = request.status is RequestStatus.APPROVED and request.version == promotion.version
        if is_its and request.decided_at is not None and request.decided_at <= promotion.since:
            return request
    return Missing(
        f"A promotion by the rule {promotion.rule!r} needs no request.", is_expected=True
    )


def evidence_behind(request: PromotionRequest | Missing) -> EvidenceRef | Missing:
    """Where a request's frozen evidence lies."""
    if isinstance(request, Missing):
        return Missing("Without a request there is no evidence.", request.is_expected)
    if not request.evidence_path:
        return Missing("The request was opened by a release that froze no evidence.")
    return EvidenceRef(request.evidence_path, request.evidence_sha256)


def code_behind(tags: Mapping[str, str]) -> TrainingCode:
    """Reads commit and digest from the tags of a run, or of a version, which has no digest."""
    commit = tags.get("git_commit", _UNKNOWN)
    is_dirty = commit.endswith(_DIRTY)
    digest = tags.get("code_digest")
    return TrainingCode(
        git_commit=Missing("The run had neither Git nor a build's commit.")
        if commit == _UNKNOWN
        else commit.removesuffix(_DIRTY),
        digest=digest or Missing("The run was of a release that recorded no digest of the code."),
        remark="Files of the code differed from the commit." if is_dirty else "",
    )


def not_logged(
    request_id: str, made: datetime | None, now: datetime, log: InferenceLogParams
) -> NotFoundError:
    """Says why the inference log has no such request, as far as it can be known."""
    message = f"The inference log has no request {request_id}."
    age = None if made is None else now - made
    if age is not None and timedelta() <= age < timedelta(seconds=log.flush_s + _GRACE_S):
        fix = f"Replicas write every {log.flush_s:g} s; ask again in a moment."
    elif age is not None and age > timedelta(days=log.keep_days):
        fix = (
            f"It was answered {age.days} days ago, and the log keeps {log.keep_days} "
            "(serving.inference_log.keep_days)."
        )
    elif not log.enabled:
        fix = "Recording is off: set serving.inference_log.enabled in params.yaml."
    else:
        fix = (
            "Look at the id. An answer may also have been lost with its replica, "
            f"or be older than the {log.keep_days} days that the log keeps."
        )
    return NotFoundError(message, fix=fix)


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
