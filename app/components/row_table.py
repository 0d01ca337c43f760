"""Rows to pick. What is picked lives in the address, so a reload or a link keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig


def pick_rows(
    frame: pd.DataFrame,
    ids: Sequence[str],
    columns: Mapping[str, ColumnConfig],
    *,
    query: str,
    mode: Literal["single-row", "multi-row"],
    height: int | Literal["auto"] = "auto",
    hidden: Sequence[str] = (),
) -> tuple[str, ...]:
    """Draws the table and returns the ids of the picked rows, in table order.

    Args:
        frame: one row an id.
        ids: what each row is, such as a run.
        columns: how columns are drawn.
        query: name in the address under which the pick is kept, separated by commas.
        mode: whether one or several rows may be picked.
        height: pixels, or as high as ten rows.
        hidden: ids that a filter keeps out of the table; a pick of theirs is kept, and
            returned after those of the table.
    """
    wanted = st.query_params.get(query, "").split(",")
    kept = [one for one in hidden if one in wanted]
    rows = [index for index, one in enumerate(ids) if one in wanted]
    # A selection is kept as row numbers. A new row moves every other, so another set of
    # ids is another table, which starts from the ids in the address.
    fingerprint = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
    key = f"{query}-{fingerprint}"

    def remember() -> None:
        picked = st.session_state[key]["selection"]["rows"]
        names = [one for index, one in enumerate(ids) if index in picked]
        st.query_params[query] = ",".join([*names, *kept])

    st.dataframe(
        frame,
        hide_index=True,
        height=height,
        column_config=columns,
        key=key,
        on_select=remember,
        selection_mode=mode,
        selection_default={"selection": {"rows": rows}},
        placeholder="",
    )
    return (*(ids[row] for row in rows), *kept)
