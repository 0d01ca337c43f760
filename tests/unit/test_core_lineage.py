"""The links behind an answer, and what is said of those that are missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.deployment.lineage import (
    EvidenceRef,
    Missing,
    canary_behind,
    code_behind,
    evidence_behind,
    made_production,
    not_logged,
    remark_on,
    request_behind,
)
from core.domain import Promotion, PromotionRequest, RequestStatus
from core.params_inference import InferenceLogParams
from core.rollout.values import Rollout, RolloutKind, RolloutStatus

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LOG = InferenceLogParams(
    enabled=True, flush_s=1.0, keep_days=90, segment_mb=16, segment_minutes=5, queue_rows=1000
)


def hours(number: float) -> datetime:
    return NOW + timedelta(hours=number)


def promotion(version: int, since: float, request: str | None = None) -> Promotion:
    rule = "rollback" if request is None else "approval"
    return Promotion(
        f"p{since}", "plums", version, f"run{version}", rule, "ann", "why", hours(since), request
    )


def request(name: str, version: int, decided: float = 0.0) -> PromotionRequest:
    return PromotionRequest(
        id=name,
        problem="plums",
        version=version,
        run_id=f"run{version}",
        status=RequestStatus.APPROVED,
        requested_by="worker",
        requested_at=hours(decided - 1),
        incumbent_version=1,
        gates=(),
        decided_by="ann",
        decided_at=hours(decided),
        reason="better on every slice",
        evidence_path="evidence/r.json",
        evidence_sha256="e" * 64,
    )


#: Newest first: 1, then 2, back to 1, then 2 again.
HISTORY = (promotion(2, 9, "r2"), promotion(1, 6), promotion(2, 3, "r1"), promotion(1, 0))


@pytest.mark.parametrize(
    ("version", "at", "since"),
    [(1, 0, 0), (1, 2, 0), (2, 3, 3), (2, 5.9, 3), (1, 8, 6), (2, 8, 3), (2, 20, 9), (1, 20, 6)],
)
def test_the_last_promotion_of_the_version_before_its_answer(
    version: int, at: float, since: float
) -> None:
    found = made_production(HISTORY, version, hours(at))
    assert isinstance(found, Promotion)
    assert found.since == hours(since)


def test_a_version_that_was_not_production_is_said_so() -> None:
    assert made_production(HISTORY, 3, hours(4)) == Missing(
        "The promotion record never named v3: it answered without being Production."
    )
    early = made_production(HISTORY, 2, hours(1))
    assert isinstance(early, Missing)
    assert "only later, 2026-11-20 15:00:00 UTC" in early.missing
    assert isinstance(made_production((), 1, NOW), Missing)


def test_it_is_remarked_when_the_record_named_another() -> None:
    assert remark_on(HISTORY, 2, hours(4)) == ""
    assert remark_on((), 2, hours(4)) == ""
    assert remark_on(HISTORY, 1, hours(-1)) == ""
    assert "had named v2 since 2026-11-20 15:00:00 UTC" in remark_on(HISTORY, 1, hours(4))


def test_a_request_is_that_of_the_promotion() -> None:
    requests = (request("r2", 2, 9), request("r1", 2, 3))
    assert request_behind(HISTORY[0], requests) == requests[0]
    assert request_behind(HISTORY[2], requests) == requests[1]
    assert request_behind(HISTORY[0], requests[1:]) == Missing("Request r2 is not in the database.")
    assert isinstance(request_behind(Missing("?"), requests), Missing)


def test_a_rollback_leads_to_the_request_by_which_the_version_came_before() -> None:
    rollback = promotion(2, 7)
    later, earlier, other = request("r9", 2, 9), request("r3", 2, 3), request("r4", 3, 4)
    rejected = replace(request("r5", 2, 5), status=RequestStatus.REJECTED)
    assert request_behind(rollback, (later, rejected, other, earlier)) == earlier
    assert request_behind(rollback, (later, rejected, other)) == Missing(
        "A promotion by the rule 'rollback' needs no request.", is_expected=True
    )


def test_evidence_is_where_the_request_says() -> None:
    assert evidence_behind(request("r1", 2)) == EvidenceRef("evidence/r.json", "e" * 64)
    assert isinstance(evidence_behind(replace(request("r1", 2), evidence_path="")), Missing)
    for is_expected in (False, True):
        gone = evidence_behind(Missing("?", is_expected))
        assert gone == Missing("Without a request there is no evidence.", is_expected)


def test_code_is_the_commit_and_what_differed_from_it() -> None:
    clean = code_behind({"git_commit": "abc", "code_digest": "d" * 64})
    assert (clean.git_commit, clean.digest, clean.remark) == ("abc", "d" * 64, "")
    dirty = code_behind({"git_commit": "abc-dirty"})
    assert (dirty.git_commit, dirty.remark) == (
        "abc",
        "Files of the code differed from the commit.",
    )
    assert isinstance(dirty.digest, Missing)
    assert isinstance(code_behind({"git_commit": "unknown"}).git_commit, Missing)
    assert isinstance(code_behind({}).git_commit, Missing)


@pytest.mark.parametrize(
    ("age", "enabled", "fix"),
    [
        (timedelta(seconds=2), True, "ask again in a moment"),
        (timedelta(days=91), True, "answered 91 days ago, and the log keeps 90"),
        (timedelta(days=91), False, "answered 91 days ago"),
        (timedelta(hours=1), False, "serving.inference_log.enabled"),
        (timedelta(hours=1), True, "Look at the id"),
        (timedelta(days=-400), True, "Look at the id"),
        (None, True, "older than the 90 days"),
        (None, False, "serving.inference_log.enabled"),
    ],
)
def test_what_is_not_logged_is_explained(age: timedelta | None, enabled: bool, fix: str) -> None:
    made = None if age is None else NOW - age
    log = LOG.model_copy(update={"enabled": enabled})
    failure = not_logged("0a" * 16, made, NOW, log)
    assert failure.message == f"The inference log has no request {'0a' * 16}."
    assert fix in failure.fix


def test_an_answer_of_a_canary_is_told_as_such() -> None:
    canary = Rollout(
        id="r1",
        problem="titanic",
        kind=RolloutKind.CANARY,
        version=9,
        run_id="run",
        incumbent_version=2,
        status=RolloutStatus.STOPPED,
        shares=(0.1, 1.0),
        step=0,
        step_since=hours(3),
        started_by="ann",
        started_at=hours(3),
        reason="better",
        source="9",
        bundle_sha256="",
        ended_at=hours(5),
    )
    shadow = replace(canary, id="r2", kind=RolloutKind.SHADOW)
    assert canary_behind(HISTORY, [shadow, canary], 9, hours(4)) == canary
    assert canary_behind(HISTORY, [canary], 9, hours(2)) is None
    assert canary_behind(HISTORY, [canary], 9, hours(6)) is None
    assert canary_behind(HISTORY, [canary], 2, hours(4)) is None
    said = remark_on(HISTORY, 9, hours(4), canary)
    assert said.startswith("It answered as a canary beside v2, in rollout r1")
