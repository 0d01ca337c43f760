"""A lineage in sentences, the same on the command line and in the panel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from core.deployment.lineage import (
    EvidenceRef,
    LearnedBatch,
    Lineage,
    Missing,
    TrainingCode,
    TrainingData,
    TrainingRun,
)
from core.domain import ModelVersion, Promotion, PromotionRequest
from core.wording import count

_T = TypeVar("_T")


@dataclass(frozen=True)
class Link:
    """One link of the chain. ``gaps`` say what is missing of it, and why."""

    title: str
    lines: tuple[str, ...]
    gaps: tuple[str, ...] = ()


def chain(lineage: Lineage) -> tuple[Link, ...]:
    """The links in order, from the answer back to the evidence."""
    return (
        _answer(lineage),
        _link("Model version", lineage.version, _version),
        _link("Run", lineage.run, _run),
        _data(lineage.data),
        _code(lineage.code),
        _link("Promotion", lineage.promotion, lambda one: _promotion(one, lineage)),
        _link("Request", lineage.request, lambda one: _request(one, lineage)),
        _link("Evidence", lineage.evidence, _evidence),
    )


def _link(title: str, found: _T | Missing, say: Callable[[_T], Link]) -> Link:
    if not isinstance(found, Missing):
        return say(found)
    return Link(title, (found.missing,)) if found.is_expected else Link(title, (), (found.missing,))


def _answer(lineage: Lineage) -> Link:
    answer = lineage.answer
    records = count(answer.records, "record")
    said = f"{lineage.problem} v{answer.version} answered {records}, {moment(answer.at)}."
    return Link("Answer", (said,))


def _version(version: ModelVersion) -> Link:
    said = f"v{version.version}, registered {moment(version.created_at)}."
    state = version.tags.get("promotion_state")
    return Link("Model version", (said, f"State now: {state}.") if state else (said,))


def _run(run: TrainingRun) -> Link:
    lines = [
        f"{run.id}, started by {run.started_by or 'nobody named'}, {moment(run.started_at)}, "
        f"on the profile {run.profile or '–'}."
    ]
    if run.family:
        lines.append(f"Family: {run.family}.")
    # The family is among the parameters of MLflow as well.
    params = [f"{name} = {value}" for name, value in run.params.items() if name != "family"]
    if params:
        lines.append(f"Parameters: {', '.join(params)}.")
    return Link("Run", tuple(lines), (run.remark,) if run.remark else ())


def _data(data: TrainingData) -> Link:
    lines = [f"Source: {data.source}."] if data.source else []
    gaps = []
    if isinstance(data.data_version, Missing):
        gaps.append(f"Data version: {data.data_version.missing}")
    elif data.data_file:
        lines.append(f"Rows as DVC knows them: {data.data_version}, {data.data_file}.")
    else:
        lines.append(f"Rows: {data.data_version}; DVC was given no copy of them.")
    if isinstance(data.batches, Missing):
        gaps.append(f"Batches: {data.batches.missing}")
    elif data.batches:
        lines += [_batch(one) for one in data.batches]
    else:
        lines.append("It learned from no batch.")
    return Link("Training data", tuple(lines), tuple(gaps))


def _batch(learned: LearnedBatch) -> str:
    said = f"Batch {learned.id}, {count(learned.rows, 'row')} of it"
    if isinstance(learned.batch, Missing):
        return f"{said}: {learned.batch.missing}"
    batch = learned.batch
    return f"{said}: {batch.name}, {batch.data_version}, SHA-256 of the file {batch.sha256}."


def _code(code: TrainingCode) -> Link:
    lines = []
    gaps = []
    if isinstance(code.git_commit, Missing):
        gaps.append(code.git_commit.missing)
    else:
        lines.append(f"Git commit {code.git_commit}. {code.remark}".strip())
    if isinstance(code.digest, Missing):
        gaps.append(code.digest.missing)
    else:
        lines.append(f"SHA-256 of the code {code.digest}.")
    return Link("Code", tuple(lines), tuple(gaps))


def _promotion(promotion: Promotion, lineage: Lineage) -> Link:
    lines = [
        f"Production since {moment(promotion.since)} by the rule {promotion.rule!r}, "
        f"decided by {promotion.decided_by}: {promotion.reason}",
        lineage.promotion_remark,
    ]
    return Link("Promotion", tuple(line for line in lines if line))


def _request(request: PromotionRequest, lineage: Lineage) -> Link:
    asked = f"{request.id}, asked for by {request.requested_by}, {moment(request.requested_at)}."
    approvals = [
        f"Approved by {one.approved_by}, {moment(one.approved_at)}: {one.reason}"
        for one in lineage.approvals
    ]
    return Link("Request", (asked, *approvals))


def _evidence(evidence: EvidenceRef) -> Link:
    return Link("Evidence", (f"{evidence.path} of the run, SHA-256 {evidence.sha256}.",))


def moment(time: datetime) -> str:
    """A time to the second, zone spelled out."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
