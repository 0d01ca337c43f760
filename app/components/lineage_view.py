"""The chain behind an answer: what each link is, what is missing, and its records."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.components import navigation, words
from app.components.failures import Failure, show_failure
from core.deployment.lineage import Lineage, Missing, TrainingData, TrainingRun
from core.deployment.lineage_words import Link, chain
from core.deployment.replay import Replay

_ICONS = {
    "Answer": "bolt",
    "Model version": "deployed_code",
    "Run": "model_training",
    "Training data": "table_rows",
    "Code": "code",
    "Promotion": "verified",
    "Request": "how_to_reg",
    "Evidence": "inventory_2",
}
_PRECISE = st.column_config.NumberColumn(format="%.9f")
_TINY = st.column_config.NumberColumn(format="%.1e")


def show_chain(lineage: Lineage) -> None:
    """Draws the links from the answer back to the evidence."""
    with st.container(border=True):
        for link in chain(lineage):
            title, said = st.columns([1, 4])
            title.markdown(f":material/{_ICONS[link.title]}: **{link.title}**")
            with said:
                _show_link(link, lineage)


def _show_link(link: Link, lineage: Lineage) -> None:
    lines = [words.plain(line) for line in link.lines]
    lines += [f":orange[:material/link_off: {words.plain(gap)}]" for gap in link.gaps]
    st.markdown("  \n".join(lines))
    if link.title == "Run" and isinstance(lineage.run, TrainingRun):
        navigation.link_to_training("The run", problem=lineage.problem, run_id=lineage.run.id)
    if link.title == "Training data":
        _link_to_batches(lineage.problem, lineage.data)


def _link_to_batches(problem: str, data: TrainingData) -> None:
    for learned in () if isinstance(data.batches, Missing) else data.batches:
        if not isinstance(learned.batch, Missing):
            label = f"Batch {learned.batch.name}"
            navigation.link_to_data(label, problem=problem, batch_id=learned.id)


def show_replay(replay: Replay | Missing) -> None:
    """Draws what became of scoring the records again."""
    if isinstance(replay, Missing):
        failure = Failure("It cannot be replayed.", replay.missing, calm=True)
        show_failure(failure)
        return
    text = words.plain(replay.summary)
    if replay.same:
        st.success(text, icon=":material/done_all:")
    else:
        st.error(text, icon=":material/difference:")
    st.caption(
        f"Decision threshold {words.number(replay.threshold)} · "
        f"SHA-256 of the model `{replay.model_sha256}`"
    )


def show_records(lineage: Lineage) -> None:
    """Draws the page of records that was read."""
    frame = records_frame(lineage)
    st.dataframe(
        frame,
        hide_index=True,
        column_config={"Probability": _PRECISE, "Replayed": _PRECISE, "Difference": _TINY},
        placeholder=words.NOTHING,
    )


def records_frame(lineage: Lineage) -> pd.DataFrame:
    """A row a record: as the model got it, what it gave and, if replayed, what it gives now."""
    replay = lineage.replay if isinstance(lineage.replay, Replay) else None
    frame = pd.DataFrame(
        {
            "Record": [row.index for row in lineage.answer.rows],
            "Probability": [row.probability for row in lineage.answer.rows],
        }
    )
    if replay is not None:
        frame["Replayed"] = [row.replayed for row in replay.rows]
        frame["Difference"] = [row.difference for row in replay.rows]
        frame["Label"] = [row.logged_label for row in replay.rows]
        frame["Replayed label"] = [row.replayed_label for row in replay.rows]
    # A contract may call a column as one of these is called.
    features = pd.DataFrame([dict(row.features) for row in lineage.answer.rows])
    features = features.rename(columns={name: f"{name} (input)" for name in frame.columns})
    return pd.concat([frame, features], axis="columns")
