"""The picked runs against a baseline: which is better, how surely, and where not."""

from __future__ import annotations

import streamlit as st
from streamlit.column_config import NumberColumn, ProgressColumn

from app.compare.slices import slices_frame
from app.compare.values import Comparison, judged_sentence
from core.training.comparison import Incomparable
from core.training.verdicts import slices_summary, verdict_sentence

_QUERY = "baseline"
#: Sentences on many runs scroll in so much room.
_LONG_PX = 320


def choose_baseline(run_ids: dict[str, str], preferred: str | None) -> str:
    """Lets the operator choose the run that the others are held against; kept in the address.

    Args:
        run_ids: the run of each name, newest first; not empty.
        preferred: run to start from, such as the one that serves; otherwise the oldest.
    """
    names = list(run_ids)
    if len(names) == 1:
        return names[0]
    by_id = {run_id: name for name, run_id in run_ids.items()}
    asked = st.query_params.get(_QUERY, "")
    first = by_id.get(asked) or by_id.get(preferred or "") or names[-1]
    # A widget keeps its choice under its key; other runs are another choice.
    key = f"{_QUERY}-{'-'.join(run_ids.values())}"

    def remember() -> None:
        st.query_params[_QUERY] = run_ids[st.session_state[key]]

    return st.selectbox(
        "Baseline",
        names,
        index=names.index(first),
        key=key,
        on_change=remember,
        help="The other runs are held against this one.",
    )


def show_verdicts(comparison: Comparison) -> None:
    """Draws a sentence a run; nothing where only one run is picked."""
    if not comparison.candidates:
        return
    st.subheader("Which one is better")
    if cut := judged_sentence(comparison):
        st.info(cut, icon=":material/filter_list:")
    place = st.container(height=_LONG_PX if comparison.is_cut else "content")
    for name in comparison.judged:
        if name == comparison.baseline:
            continue
        found = comparison.verdicts.get(name)
        if found is None:
            place.markdown(f"- **{name}** cannot be held against the baseline row by row.")
        elif isinstance(found, Incomparable):
            place.markdown(f"- **{name}** cannot be held against the baseline. {found.reason}")
        else:
            said = verdict_sentence(f"**{name}**", f"**{comparison.baseline}**", found)
            place.markdown(f"- {said}")
    if comparison.verdicts:
        st.caption("Paired bootstrap: both models are scored on the same resamples of the rows.")


def show_slices(comparison: Comparison) -> None:
    """Draws the slices of one run against the baseline, what got worse first."""
    if not comparison.slices:
        return
    st.subheader("Slices of the holdout")
    names = list(comparison.slices)
    name = names[0]
    if len(names) > 1:
        name = st.selectbox("Run held against the baseline", names, key="sliced")
    slices = comparison.slices[name]
    st.markdown(f"**{name}** against **{comparison.baseline}**: {slices_summary(slices)}")
    numbers = ("AUC, baseline", "AUC", "Precision, baseline", "Precision")
    st.dataframe(
        slices_frame(slices),
        hide_index=True,
        column_config={
            "Column": st.column_config.TextColumn(pinned=True),
            "Value": st.column_config.TextColumn(pinned=True),
            "AUC difference": NumberColumn(format="%+.3f", help="This run minus the baseline"),
            "P(better)": ProgressColumn(
                format="%.2f",
                min_value=0,
                max_value=1,
                help="Probability that this run is better than the baseline on such rows",
            ),
            **{
                one: NumberColumn(format="%.3f") for one in (*numbers, "Recall, baseline", "Recall")
            },
        },
    )
    st.caption(
        "Precision and recall at each run's own threshold. Among many slices a few look better "
        "or worse by chance alone: at this level about one in ten."
    )
