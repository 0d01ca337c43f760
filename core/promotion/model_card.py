"""The model card of a version.

Its headings are those of Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019), as
far as the product knows something to say under them.
"""

from __future__ import annotations

from core.domain import Verdict
from core.problems.contract import Contract, Field, Problem
from core.promotion import evidence_words as words
from core.promotion.document import Document, Section, Table, Text, facts, table
from core.promotion.dossier_tables import metric_title
from core.promotion.evidence import Evidence, ModelIdentity
from core.wording import NOTHING, clock, count, family_name, number


def model_card(problem: Problem, evidence: Evidence) -> Document:
    """Builds the card of the candidate from its evidence and the contract."""
    model = evidence.candidate
    sections = (
        Section("Model details", (_details(problem, model),)),
        Section("Intended use", _use(problem)),
        Section("Inputs", (_inputs(problem.contract), *_left_out(problem.contract))),
        Section("Training data", (_training(problem, model),)),
        Section("Evaluation data and metrics", (_metrics(model),)),
        Section("How it does on parts of the data", _factors(evidence)),
        Section("Caveats", _caveats(evidence)),
    )
    return Document(
        f"Model card: {problem.title}, v{model.version}",
        f"Registered model {problem.name}, version {model.version} · written by Pilothouse from "
        f"the evidence of request {evidence.request_id}, {clock(evidence.opened_at)}",
        sections,
    )


def _details(problem: Problem, model: ModelIdentity) -> Table:
    chosen = ", ".join(f"{key}={value}" for key, value in sorted(model.params.items()))
    registered = clock(model.registered_at) if model.registered_at else NOTHING
    return facts(
        [
            ("Registered model", f"{problem.name}, version {model.version}"),
            ("Registered", registered),
            ("Model family", family_name(model.family)),
            ("Hyper-parameters", chosen or NOTHING),
            ("Decision threshold", NOTHING if model.threshold is None else number(model.threshold)),
            ("Run", model.run_id),
            ("Git commit", model.git_commit or NOTHING),
            ("SHA-256 of the model", model.model_sha256 or NOTHING),
        ]
    )


def _use(problem: Problem) -> tuple[Text, ...]:
    label = problem.contract.label
    return (
        Text(
            f"It answers with the probability of “{label.positive_meaning}” against "
            f"“{label.negative_meaning}” ({label.name}), and with the label at the decision "
            "threshold."
        ),
        Text(
            "It is meant for records such as those it was trained on and that meet the contract "
            "below; drift is watched, and what it answers beyond the usual ranges is a guess."
        ),
    )


def _inputs(contract: Contract) -> Table:
    rows = [
        (one.name, one.description, one.type.value, _range(one), "no" if one.nullable else "yes")
        for one in contract.fields
    ]
    return table(("Field", "Meaning", "Type", "Usual values", "Required"), rows)


def _range(field: Field) -> str:
    if field.categories:
        return ", ".join(field.categories)
    low, high = field.usual or (field.minimum, field.maximum)
    if low is None and high is None:
        return NOTHING
    ends = [NOTHING if end is None else f"{end:,g}" for end in (low, high)]
    return f"{ends[0]} to {ends[1]} {field.unit}".strip()


def _left_out(contract: Contract) -> tuple[Text, ...]:
    told = []
    if contract.leaky:
        told.append(
            Text(f"Never an input, because it tells the label: {', '.join(contract.leaky)}.")
        )
    if contract.identifiers:
        told.append(Text(f"Identifiers that are ignored: {', '.join(contract.identifiers)}."))
    told += [
        Text(f"Of {one.name}, {one.into} alone is kept: {one.description}.")
        for one in contract.reduced
    ]
    return tuple(told)


def _training(problem: Problem, model: ModelIdentity) -> Table:
    batches = [f"{one.id[:8]} ({count(one.rows, 'row')})" for one in model.trained_on]
    rows = NOTHING if model.train_rows is None else f"{model.train_rows:,}"
    return facts(
        [
            ("Source", f"{problem.source.provider}: {problem.source.name}"),
            ("Data version", model.data_version or NOTHING),
            ("Batches learned from", ", ".join(batches) or "none"),
            ("Rows trained on", rows),
        ]
    )


def _metrics(model: ModelIdentity) -> Table:
    rows = [(metric_title(name), words.metric(model, name)) for name in model.metrics]
    held = "" if model.holdout_rows is None else f" of {count(model.holdout_rows, 'row')}"
    note = f"On the fixed holdout{held}, which it was not trained on."
    if model.confidence:
        note += f" In brackets the {model.confidence:.0%} bootstrap interval."
    return table(("Metric", "Value"), rows, note)


def _factors(evidence: Evidence) -> tuple[Text | Table, ...]:
    judged = evidence.judged
    told = [one for one in judged.slices if not one.too_small] if judged else []
    if judged is None or not told:
        return (Text("It was not measured on parts of the data."),)
    rows = [
        (
            words.slice_name(one),
            f"{one.rows:,}",
            words.share(one.candidate.precision),
            words.share(one.candidate.recall),
        )
        for one in told
    ]
    note = (
        f"On {words.where(judged.rows_of)}, {count(judged.calibration.rows, 'row')}; calibration "
        f"error {number(judged.calibration.candidate)}, {number(judged.calibration.by_chance)} "
        "is expected by chance."
    )
    return (table(("Slice", "Rows", "Precision", "Recall"), rows, note),)


def _caveats(evidence: Evidence) -> tuple[Text, ...]:
    held = [
        Text(f"{gate.gate}: {gate.verdict.value}. {gate.reason}")
        for gate in evidence.gates
        if gate.verdict is not Verdict.PASS
    ]
    told = [*held, *(Text(note) for note in evidence.notes)]
    told.append(
        Text(
            "Columns that stand for groups of people are compared as slices like any other; "
            "whether a difference between them is fair is for people to judge."
        )
    )
    return tuple(told)
