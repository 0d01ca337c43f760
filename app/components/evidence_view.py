"""The evidence of a request on the screen: both models side by side."""

from __future__ import annotations

import streamlit as st

from app import charts
from app.components import navigation, words
from app.components.document_view import show_blocks, show_table
from core.problems.contract import Problem
from core.promotion import dossier_tables as tables
from core.promotion import evidence_words
from core.promotion.document import facts
from core.promotion.dossier import cause_blocks, identity_table
from core.promotion.evidence import Evidence, ModelIdentity

_TABS = (
    "Same rows",
    "Metrics",
    "Confusion",
    "Slices",
    "Calibration",
    "Latency and cost",
    "Cause",
    "Data and code",
)


def show_evidence(problem: Problem, evidence: Evidence) -> None:
    """Draws everything that was frozen, a tab a question."""
    shown = st.tabs(list(_TABS))
    with shown[0]:
        _show_same_rows(evidence)
    with shown[1]:
        _show_metrics(evidence)
    with shown[2]:
        _show_confusions(problem, evidence)
    sections = {one.title: one for one in tables.judged_sections(problem, evidence)}
    with shown[3]:
        for title in ("Slices", "Classes"):
            if title in sections:
                st.markdown(f"**{title}**")
                show_blocks(sections[title].blocks)
        if not sections:
            st.caption("Both models have no rows in common on which parts could be compared.")
    with shown[4]:
        _show_calibration(evidence)
        if "Calibration" in sections:
            show_blocks(sections["Calibration"].blocks)
    with shown[5]:
        show_blocks(tables.running_blocks(evidence))
    with shown[6]:
        show_blocks(cause_blocks(evidence))
        if evidence.cause is not None:
            navigation.link_to_drift(
                "The check", problem=problem.name, check_id=evidence.cause.check_id
            )
    with shown[7]:
        show_table(identity_table(evidence))


def _models(evidence: Evidence) -> dict[str, ModelIdentity]:
    names = evidence_words.names(evidence)
    models = (evidence.candidate, evidence.incumbent)
    return {name: model for name, model in zip(names, models, strict=True) if model is not None}


def _show_same_rows(evidence: Evidence) -> None:
    gains = [
        charts.Gain(
            one.rows_of.value, one.difference.value, one.difference.low, one.difference.high
        )
        for one in evidence.comparisons
        if one.difference is not None
    ]
    if gains:
        drawing = charts.gains_chart(gains, metric="AUC")
        st.altair_chart(drawing, width="stretch", alt="Difference in AUC on each set of rows")
    show_table(tables.comparisons_table(evidence))


def _show_metrics(evidence: Evidence) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        show_table(tables.metrics_table(evidence))
    with right:
        drawing = charts.metrics_chart(_models(evidence))
        st.altair_chart(drawing, width="stretch", alt="Metrics of both with their intervals")


def _show_confusions(problem: Problem, evidence: Evidence) -> None:
    label = problem.contract.label
    known = {
        name: (model.confusion, model.threshold)
        for name, model in _models(evidence).items()
        if model.confusion is not None
    }
    if not known:
        st.caption("Neither model has a confusion matrix.")
        return
    baseline = evidence.incumbent.confusion if evidence.incumbent else None
    for place, (name, (confusion, threshold)) in zip(st.columns(2), known.items(), strict=False):
        is_baseline = confusion is baseline
        drawing = charts.confusion_chart(
            confusion,
            positive=label.positive_meaning,
            negative=label.negative_meaning,
            title=name,
            baseline=None if is_baseline else baseline,
        )
        place.altair_chart(drawing, width="stretch", alt=f"Confusion matrix of {name}")
        said = f"On its own holdout at threshold {tables.number_or_dash(threshold)}"
        if baseline is not None and not is_baseline:
            said += "; small: difference to the incumbent"
        place.caption(f"{said}.")


def _show_calibration(evidence: Evidence) -> None:
    drawn = {name: model for name, model in _models(evidence).items() if model.calibration}
    if drawn:
        drawing = charts.calibration_chart(drawn)
        st.altair_chart(drawing, width="stretch", alt="Observed rate over predicted probability")


def show_frozen(evidence: Evidence, path: str, sha256: str) -> None:
    """Draws where the evidence is kept and by what it is known."""
    show_table(facts([("SHA-256", sha256), ("Artifact of the run", path)]))
    for note in evidence.notes:
        st.caption(words.plain(note))
