"""One batch on the screen, alone or beside another table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st
from streamlit.column_config import ProgressColumn, TextColumn

from app import charts
from app.components import installation, words
from app.components.failures import Failure, show_failure
from app.components.upload_view import show_what_was_noticed
from core.domain import Batch

if TYPE_CHECKING:
    from core.data.batch_comparison import BatchComparison, ColumnComparison, TableFacts

_QUERY = "other"
#: The reference of the version in production, as the core calls it.
_REFERENCE = "reference"
#: Columns that are drawn, those that differ most; the table has all of them.
_MOST_CHARTS = 12


def show_batch(batch: Batch) -> None:
    """Draws what is known of a batch."""
    st.subheader(words.plain(batch.name))
    rows, labels, span = st.columns([1, 1, 2])
    rows.metric("Rows", f"{batch.rows:,}")
    labels.metric("Labels", f"{batch.given_labels:,}")
    if batch.first_at and batch.last_at:
        span.metric("Time span", f"{batch.first_at:%Y-%m-%d} to {batch.last_at:%Y-%m-%d}")
    st.caption(
        f"Added {words.clock(batch.added_at)} by {words.plain(batch.added_by)} · "
        f"batch `{batch.id}` · data version `{batch.data_version}`"
    )
    show_what_was_noticed(batch)
    st.code(f"pilothouse batch show {batch.id}", language="bash")


def show_comparison(batch: Batch, others: Sequence[Batch]) -> None:
    """Lets the operator choose what to hold a batch against, and draws both."""
    by_id = {one.id: one for one in others if one.id != batch.id}
    other = _choose_other(batch, by_id)
    if other is None:
        return
    found = installation.batch_comparison(batch.id, other)
    if isinstance(found, Failure):
        show_failure(found)
        return
    names = (_name_of(other, by_id), words.batch_label(batch))
    _show_facts(found, names)
    _show_schema(found, names)
    differing = sorted(found.columns, key=lambda one: one.distance, reverse=True)
    _show_columns(differing)
    _show_charts(differing[:_MOST_CHARTS], names)
    if len(differing) > _MOST_CHARTS:
        st.caption(f"Drawn are the {_MOST_CHARTS} columns that differ most.")
    st.code(f"pilothouse batch compare {batch.id} {other}", language="bash")


def _choose_other(batch: Batch, by_id: dict[str, Batch]) -> str | None:
    options = [_REFERENCE, *by_id]
    asked = st.query_params.get(_QUERY, "")
    # A widget keeps its choice under its key; another batch is another choice.
    key = f"{_QUERY}-{batch.id}"

    def remember() -> None:
        chosen = st.session_state[key]
        if chosen is None:
            st.query_params.pop(_QUERY, None)
        else:
            st.query_params[_QUERY] = chosen

    return st.selectbox(
        "Compare with",
        options,
        index=options.index(asked) if asked in options else None,
        format_func=lambda one: _name_of(one, by_id),
        placeholder="Another batch, or the reference of Production",
        key=key,
        on_change=remember,
    )


def _name_of(other: str, by_id: dict[str, Batch]) -> str:
    return "Reference of Production" if other == _REFERENCE else words.batch_label(by_id[other])


def _show_facts(found: BatchComparison, names: tuple[str, str]) -> None:
    pair = (found.first, found.second)
    facts = {
        "Rows": [f"{one.rows:,}" for one in pair],
        "Labels": [f"{one.labelled:,}" for one in pair],
        "Time span": [_span(one) for one in pair],
    }
    frame = pd.DataFrame([(name, *values) for name, values in facts.items()])
    frame.columns = ["", *names]
    st.dataframe(frame, hide_index=True)


def _show_schema(found: BatchComparison, names: tuple[str, str]) -> None:
    differing = [one for one in found.schema if one.differs]
    if differing:
        said = "\n".join(f"- {words.plain(one.sentence(*names))}" for one in differing)
        st.warning(
            "The columns are not the same, so these are not compared:\n" + said,
            icon=":material/view_column:",
        )
    with st.expander("Columns and types", icon=":material/view_column:"):
        frame = pd.DataFrame(
            [
                (one.name, *(kind or "missing" for kind in (one.first, one.second, one.contract)))
                for one in found.schema
            ]
        )
        frame.columns = ["Column", *names, "Today's contract"]
        st.dataframe(frame, hide_index=True)


def _span(facts: TableFacts) -> str:
    if facts.first_at is None or facts.last_at is None:
        return words.NOTHING
    return f"{words.clock(facts.first_at)} to {words.clock(facts.last_at)}"


def _show_columns(columns: Sequence[ColumnComparison]) -> None:
    frame = pd.DataFrame(
        {
            "Column": [one.name for one in columns],
            "Type": [one.type for one in columns],
            "Difference": [one.distance for one in columns],
            "Missing, compared with": [one.first_missing for one in columns],
            "Missing, this batch": [one.second_missing for one in columns],
        }
    )
    st.dataframe(
        frame,
        hide_index=True,
        column_config={
            "Column": TextColumn(pinned=True),
            "Difference": ProgressColumn(
                format="%.2f",
                min_value=0,
                max_value=1,
                help="Total variation distance of the shares below: 0 is the same, 1 is nothing "
                "in common",
            ),
        },
    )


def _show_charts(columns: Sequence[ColumnComparison], names: tuple[str, str]) -> None:
    for start in range(0, len(columns), 2):
        places = st.columns(2, gap="large")
        for place, column in zip(places, columns[start : start + 2], strict=False):
            with place:
                st.altair_chart(
                    charts.distribution_chart(column.title, column.shares, *names),
                    width="stretch",
                    alt=f"Distribution of {column.name} in both tables",
                )
    st.caption(
        "Shares are of all rows of a table. The bins of a number are the deciles of the first "
        "table, stretched to the range of both."
    )
