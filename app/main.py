"""The panel's entry: look, navigation, and the last net under every page."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, navigation, words
from app.components.failures import Failure, attempt, guarded
from core.settings import Settings

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

_ABOUT = (
    "**Pilothouse** steers classification models in production: train, compare, promote, serve."
)
_HERE = Path(__file__).parent


def main() -> None:
    """Draws the page that the address names."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    st.set_page_config(
        page_title="Pilothouse",
        # A file of our own: the browser would fetch a named icon from a foreign host.
        page_icon=str(_HERE / "mark.svg"),
        layout="wide",
        # With an entry of our own the menu is there, and with it the choice of theme.
        menu_items={"About": _ABOUT},
    )
    st.logo(str(_HERE / "logo.svg"), icon_image=str(_HERE / "mark.svg"), size="large")
    pages = [
        st.Page(navigation.OVERVIEW, title="Overview", icon=":material/dashboard:", default=True),
        st.Page(navigation.DATA, title="Data", icon=":material/table_rows:"),
        st.Page(navigation.TRAIN, title="Train", icon=":material/model_training:"),
        st.Page(navigation.EXPERIMENTS, title="Experiments", icon=":material/science:"),
        st.Page(navigation.RESOURCES, title="Resources", icon=":material/memory:"),
        st.Page(navigation.DRIFT, title="Drift", icon=":material/troubleshoot:"),
        st.Page(navigation.APPROVALS, title="Approvals", icon=":material/how_to_reg:"),
        st.Page(navigation.SERVING, title="Serving", icon=":material/bolt:"),
        st.Page(navigation.TRACE, title="Trace", icon=":material/route:"),
        st.Page(navigation.AUDIT, title="Audit", icon=":material/history_edu:"),
    ]
    page = st.navigation(pages)
    with guarded():
        # Not inside the sidebar: its spinner must be seen in a narrow window as well.
        core = installation.pilothouse()
        with st.sidebar:
            _show_waiting(core)
            _show_sidebar(core.settings)
        page.run()


def _show_waiting(core: Pilothouse) -> None:
    # One row of the database; a page that needs it says by itself why it cannot be read.
    waiting = attempt(lambda: core.promotions.requests(open_only=True))
    if not isinstance(waiting, Failure) and waiting:
        verb = "waits" if len(waiting) == 1 else "wait"
        navigation.link_to_approvals(
            f"{words.count(len(waiting), 'candidate')} {verb} for approval"
        )


def _show_sidebar(settings: Settings) -> None:
    if settings.is_loopback:
        st.caption(f"You act as **{settings.operator}**: one local operator, loopback only.")
    else:
        st.warning(
            f"You act as **{settings.operator}**, without a login, and {settings.host} can be "
            "reached from other machines: whoever opens this page can do the same.",
            icon=":material/lock_open:",
        )
    with st.container(gap=None):
        st.page_link(
            f"{settings.serving_url}/docs", label="API of the models", icon=":material/api:"
        )
        st.page_link(settings.mlflow_url, label="MLflow", icon=":material/monitoring:")
        st.page_link(settings.ray_dashboard_url, label="Ray dashboard", icon=":material/hub:")


if __name__ == "__main__":
    main()
