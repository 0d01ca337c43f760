"""Keys of the served models: the table, and making and revoking them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st
from streamlit.column_config import DatetimeColumn, NumberColumn, TextColumn

from app.components import installation, rights, words
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.people_view import times
from app.components.row_table import pick_rows
from core.access.serving_key import Scope, ServingKey
from core.promotion.audit import Action

if TYPE_CHECKING:
    from core.access.serving_key import NewKey
    from core.bootstrap import Pilothouse

# What is open stays open while its form is filled in, whatever else is drawn anew.
_OPEN = "key-dialog"
_MAKE = "make"
_QUERY = "key"
_WHEN = DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone="UTC")
_COLUMNS = {
    "Key": TextColumn(pinned=True),
    "Requests/s": NumberColumn(help="Each replica's limit for it; empty for the usual one"),
    "Last used (UTC)": DatetimeColumn(
        format="YYYY-MM-DD HH:mm", timezone="UTC", help="Some seconds behind"
    ),
    "Expires (UTC)": _WHEN,
    "Made (UTC)": _WHEN,
    "Revoked (UTC)": _WHEN,
}
_NEVER = "never"
#: How long a key may be for, in days.
_LIVES: dict[str, int | None] = {"30 days": 30, "90 days": 90, "one year": 365, _NEVER: None}


def show_keys(core: Pilothouse) -> None:
    """Draws every key, and what can be done with the one that is ticked."""
    st.subheader("Keys of the served models")
    required = core.settings.keys_required
    st.caption(
        "Callers send a key with each request. Each is for one problem and for what its scopes say."
        if required
        else "Keys are not asked for here: a request without one is answered, and one that brings "
        "a key is held to it. `PILOTHOUSE_REQUIRE_KEYS=yes` asks for them."
    )
    with st.spinner("Reading the keys…"):
        keys = attempt(core.keys.list)
    if isinstance(keys, Failure):
        show_failure(keys)
        return
    st.button(
        "Make a key",
        icon=":material/vpn_key:",
        on_click=_begin,
        args=(_MAKE,),
        **rights.needs(Action.KEY_MADE),
    )
    if not keys:
        st.info("No key has been made yet.", icon=":material/vpn_key:")
    else:
        _show_table(keys)
    _show_dialog(core, keys)


def _show_table(keys: Sequence[ServingKey]) -> None:
    now = datetime.now(UTC)
    valid = sum(key.opens(now) for key in keys)
    st.caption(
        f"{words.count(len(keys), 'key')}, newest first; {valid:,} valid. Tick one to revoke it."
    )
    picked = pick_rows(
        keys_frame(keys, now), [key.id for key in keys], _COLUMNS, query=_QUERY, mode="single-row"
    )
    for key in keys:
        if key.id in picked:
            _show_key(key, now)


def _show_key(key: ServingKey, now: datetime) -> None:
    with (
        st.container(border=True),
        st.container(horizontal=True, vertical_alignment="center"),
    ):
        st.markdown(
            f"**{words.plain(key.name)}** of {words.plain(key.problem)}, {key_word(key, now)}",
            width="content",
        )
        st.button(
            "Revoke",
            icon=":material/block:",
            on_click=_begin,
            args=(key.id,),
            **rights.needs(Action.KEY_REVOKED, disabled=key.revoked_at is not None),
        )


def keys_frame(keys: Sequence[ServingKey], now: datetime) -> pd.DataFrame:
    """Keys as rows, in the order given."""
    return pd.DataFrame(
        {
            "Problem": [key.problem for key in keys],
            "Key": [key.name for key in keys],
            "Scopes": [", ".join(key.scopes) for key in keys],
            "State": [key_word(key, now) for key in keys],
            "Expires (UTC)": times([key.expires_at for key in keys]),
            "Last used (UTC)": times([key.last_used_at for key in keys]),
            "Requests/s": pd.array([key.requests_per_second for key in keys], dtype="Float64"),
            "Made (UTC)": times([key.created_at for key in keys]),
            "Made by": [key.created_by for key in keys],
            "Id": [key.id for key in keys],
            "Revoked (UTC)": times([key.revoked_at for key in keys]),
            "Revoked by": [key.revoked_by or words.NOTHING for key in keys],
        }
    )


def key_word(key: ServingKey, now: datetime) -> str:
    """Whether a key is taken, as a word with a sign."""
    if key.revoked_at is not None:
        return "✕ revoked"
    return "✓ valid" if key.opens(now) else "◇ expired"


def _begin(what: str) -> None:
    st.session_state[_OPEN] = what


def _close() -> None:
    st.session_state.pop(_OPEN, None)


def _show_dialog(core: Pilothouse, keys: Sequence[ServingKey]) -> None:
    what = st.session_state.get(_OPEN)
    if what == _MAKE:
        _make(core)
    for key in keys:
        if key.id == what and key.revoked_at is None:
            _revoke(core, key)


@st.dialog("Make a key", on_dismiss=_close)
def _make(core: Pilothouse) -> None:
    place = st.empty()
    with place.form("make-key", border=False):
        problem = st.selectbox(
            "Problem",
            list(core.problems),
            format_func=lambda name: core.problems[name].title,
            key="key-problem",
        )
        name = st.text_input(
            "Held by", placeholder="the shop's checkout", help="Its name in tables and records"
        )
        scopes = st.pills(
            "For",
            list(Scope),
            selection_mode="multi",
            default=[Scope.PREDICT],
            format_func=lambda scope: scope.value,
        )
        life = st.selectbox("Expires after", list(_LIVES), index=1)
        rate = st.number_input(
            "Requests per second",
            min_value=0.1,
            value=None,
            placeholder="the usual limit",
            help="Of each replica",
        )
        made = st.form_submit_button("Make", type="primary", **rights.needs(Action.KEY_MADE))
    if made:
        days = _LIVES[life]
        until = None if days is None else datetime.now(UTC) + timedelta(days=days)
        with guarded():
            key = core.keys.make(
                problem,
                name,
                scopes,
                until,
                requests_per_second=rate,
                actor=installation.actor(),
            )
            place.empty()
            _show_made(key)


def _show_made(made: NewKey) -> None:
    """Draws a key, which is nowhere but on this screen."""
    st.markdown(f"The key **{words.plain(made.key.name)}**, shown this once:")
    st.code(made.token, language=None, wrap_lines=True)
    st.caption(
        "Callers send it with each request as `Authorization: Bearer KEY` or `X-API-Key: KEY`. The "
        "served models take it within seconds. It is kept nowhere; who loses it needs a new one."
    )
    st.button("Done", on_click=_close, key="key-done")


@st.dialog("Revoke a key", on_dismiss=_close)
def _revoke(core: Pilothouse, key: ServingKey) -> None:
    name = words.plain(key.name)
    st.markdown(
        f"Requests that bring the key **{name}** ({key.id}) are refused within seconds, on every "
        "replica. It cannot be taken into use again; make another one instead."
    )
    needs = rights.needs(Action.KEY_REVOKED)
    if st.button(f"Revoke {name}", type="primary", icon=":material/block:", **needs):
        with guarded():
            core.keys.revoke(key.id, actor=installation.actor())
            _close()
            st.rerun()
