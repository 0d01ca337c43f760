"""The panel's entry: look, navigation, and the last net under every page."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from app.components import addresses, installation, navigation, rights, who, words
from app.components.approvals_watch import REFRESH_S
from app.components.failures import Failure, attempt, guarded
from core.access.exposure import openings

if TYPE_CHECKING:
    from app.access.visitor import Visitor
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
        st.Page(navigation.ACCESS, title="Access", icon=":material/group:"),
    ]
    core, who_acts = _come_in()
    page = st.navigation(pages, position="sidebar" if who_acts else "hidden")
    if core is None or who_acts is None:
        return
    with guarded():
        who.watch(core, who_acts)
        rights.read(core)
        with st.sidebar:
            _show_openings(core)
            _show_waiting()
            who.show_visitor(core, who_acts)
            addresses.show_links(core.settings)
        page.run()


def _come_in() -> tuple[Pilothouse, Visitor] | tuple[None, None]:
    """The core and who sits before the page; where nobody may, that is all that is drawn."""
    with guarded():
        core = installation.connected()
        if who_acts := who.admit(core):
            return core, who_acts
    return None, None


@st.fragment(run_every=REFRESH_S)
def _show_waiting() -> None:
    # One row of the database; a page that needs it says by itself why it cannot be read.
    waiting = attempt(lambda: installation.pilothouse().promotions.requests(open_only=True))
    if not isinstance(waiting, Failure) and waiting:
        verb = "waits" if len(waiting) == 1 else "wait"
        navigation.link_to_approvals(
            f"{words.count(len(waiting), 'candidate')} {verb} for approval"
        )


def _show_openings(core: Pilothouse) -> None:
    found = attempt(lambda: openings(core.exposure))
    if found and not isinstance(found, Failure):
        st.warning(
            f"Other machines can reach this installation. {' '.join(found)}",
            icon=":material/lock_open:",
        )


if __name__ == "__main__":
    main()
