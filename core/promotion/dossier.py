"""The promotion dossier: everything a decision rests on, and the decision, to file away."""

from __future__ import annotations

from collections.abc import Sequence

from core.domain import Approval, Promotion, PromotionRequest, RequestStatus
from core.problems.contract import Problem
from core.promotion import dossier_tables as tables
from core.promotion import evidence_words as words
from core.promotion.document import Document, Section, Table, Text, facts, table, tone_of
from core.promotion.evidence import Evidence
from core.rollout.notes import said_of_shadow
from core.rollout.view import RolloutView
from core.wording import NOTHING, clock
from core.wording import share as percent


def dossier(
    problem: Problem,
    evidence: Evidence,
    request: PromotionRequest,
    approvals: Sequence[Approval] = (),
    promotion: Promotion | None = None,
    shadows: Sequence[RolloutView] = (),
) -> Document:
    """Builds the dossier of a request, open or decided.

    Args:
        problem: what both models are for.
        evidence: as it was frozen.
        request: with the SHA-256 of the evidence, and the decision once there is one.
        approvals: those given so far, oldest first.
        promotion: what came of an approval.
        shadows: how the candidate has done in the shadow, newest first.
    """
    candidate, incumbent = words.names(evidence)
    against = f"against {incumbent} in Production" if evidence.incumbent else "as the first version"
    sections = (
        Section("What the candidate is worth", _headline(evidence)),
        Section("Decision", _decision(request, approvals, promotion)),
        Section("Gates", (tables.gates_table(evidence.gates),)),
        Section("Both models on the same rows", (tables.comparisons_table(evidence),)),
        Section("Metrics on each model's holdout", (tables.metrics_table(evidence),)),
        Section("Confusion matrices", tables.confusions_blocks(problem, evidence)),
        *tables.judged_sections(problem, evidence),
        Section("Latency, cost and parity", tables.running_blocks(evidence)),
        Section("In the shadow of Production", _in_the_shadow(shadows)),
        Section("What led to it", cause_blocks(evidence)),
        Section("Where both models come from", (identity_table(evidence),)),
        Section("The evidence itself", _evidence(evidence, request)),
    )
    return Document(
        f"Promotion dossier: {problem.title}, {candidate}",
        f"{problem.name} {candidate} {against} · request {request.id}, opened "
        f"{clock(evidence.opened_at)} by {evidence.requested_by} · written by Pilothouse from the "
        "frozen evidence",
        sections,
    )


def _headline(evidence: Evidence) -> tuple[Text, ...]:
    """What the candidate is worth, a sentence each."""
    found = words.headline(evidence)
    said = [(Text(one.text, tone_of(one.verdict)), Text(one.detail)) for one in found]
    return tuple(text for pair in said for text in pair if text.text)


def _decision(
    request: PromotionRequest, approvals: Sequence[Approval], promotion: Promotion | None
) -> tuple[Text | Table, ...]:
    given = table(
        ("Approved by", "When", "Reason"),
        [(one.approved_by, clock(one.approved_at), one.reason) for one in approvals],
    )
    listed = (given,) if approvals else ()
    if request.status is RequestStatus.OPEN:
        return (Text("Nobody has decided yet."), *listed)
    rows = [("Outcome", request.status.value)]
    if request.decided_at is not None:
        rows.append(("When", clock(request.decided_at)))
    rows += [
        (name, value)
        for name, value in (
            ("By", request.decided_by),
            ("Reason", request.reason),
            ("Superseded by request", request.superseded_by),
            ("Passed over", "; ".join(promotion.passed_over) if promotion else ""),
            ("Four eyes", promotion.four_eyes if promotion else ""),
        )
        if value
    ]
    return (facts(rows), *listed)


def _in_the_shadow(shadows: Sequence[RolloutView]) -> tuple[Text | Table, ...]:
    if not shadows:
        return (Text("It has scored no live requests before the decision."),)
    rows = [
        (
            one.rollout.id,
            clock(one.rollout.started_at),
            f"v{one.rollout.incumbent_version}",
            f"{percent(one.rollout.share)}",
            said_of_shadow(one.notes.shadow),
        )
        for one in shadows
    ]
    return (table(("Rollout", "Started", "Beside", "Share of requests", "Result"), rows),)


def cause_blocks(evidence: Evidence) -> tuple[Text | Table, ...]:
    """Who started the run, and the check that has asked for it."""
    started = Text(f"The run was started by {evidence.run_started_by}.")
    cause = evidence.cause
    if cause is None:
        return (started, Text("No check has asked for it."))
    blocks: list[Text | Table] = [started, Text(words.cause_sentence(cause)), Text(cause.why)]
    if cause.report_sha256:
        blocks.append(Text(f"Report of the check, SHA-256 {cause.report_sha256}."))
    if cause.features:
        rows = [(f.column, tables.number_or_dash(f.psi), f.level.value) for f in cause.features]
        blocks.append(table(("Feature", "PSI", "Level"), rows))
    return tuple(block for block in blocks if not isinstance(block, Text) or block.text)


def identity_table(evidence: Evidence) -> Table:
    """Data, code and hashes of both models."""
    rows = words.identity_rows((evidence.candidate, evidence.incumbent))
    return table(("", *words.names(evidence)), rows)


def _evidence(evidence: Evidence, request: PromotionRequest) -> tuple[Text | Table, ...]:
    kept = facts(
        [
            ("SHA-256", request.evidence_sha256 or NOTHING),
            ("Artifact of the run", request.evidence_path or NOTHING),
        ]
    )
    return (kept, *(Text(note) for note in evidence.notes))
