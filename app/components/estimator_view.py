"""How far the estimate of performance was right so far, on the screen."""

from __future__ import annotations

import streamlit as st
from streamlit.column_config import NumberColumn

from app.components import words
from app.watching.tables import past_errors_frame
from core.monitoring.estimator_words import estimator_sentences
from core.monitoring.report_performance import Estimator


def show_estimator(estimator: Estimator) -> None:
    """Draws calibration before and after, and what earlier estimates turned out to be."""
    for sentence in estimator_sentences(estimator):
        st.caption(words.plain(sentence))
    if estimator.past:
        number = NumberColumn(format="%.3f")
        st.dataframe(
            past_errors_frame(estimator),
            hide_index=True,
            column_config={
                "Estimated": number,
                "Realized": number,
                "Error": NumberColumn(format="%+.3f", help="Estimated minus realized"),
                "Standard error": NumberColumn(
                    format="%.3f", help="Of the realized value: few labels scatter more"
                ),
            },
        )
