"""Everybody who may sign in: the table, and what an admin does with one of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st
from streamlit.column_config import DatetimeColumn, TextColumn

from app.components import people_dialogs, rights, words
from app.components.failures import Failure, attempt, show_failure
from app.components.row_table import pick_rows
from core.access.account import Account, Source
from core.access.roles import Mode
from core.promotion.audit import Action

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse

_QUERY = "person"
_WHEN = DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone="UTC")
_COLUMNS = {
    "Account": TextColumn(pinned=True),
    "Last seen (UTC)": _WHEN,
    "Added (UTC)": _WHEN,
    "Removed (UTC)": _WHEN,
    "Token from": TextColumn(help="Who made the token; it is known to them until it is renewed"),
}


def show_people(core: Pilothouse, mode: Mode) -> None:
    """Draws everybody, and what can be done with whoever is ticked."""
    with st.spinner("Reading the accounts…"):
        accounts = attempt(core.accounts.list)
    if isinstance(accounts, Failure):
        show_failure(accounts)
        return
    active = [one for one in accounts if one.is_active]
    removed = [one for one in accounts if not one.is_active]
    if mode is Mode.OIDC:
        st.caption(
            "Who logs in comes here by themselves, with the role that the provider of logins "
            "says. An account added here has a token for the command line, such as a program's."
        )
    st.button(
        "Add an account",
        icon=":material/person_add:",
        on_click=people_dialogs.begin,
        args=("add",),
        **rights.needs(Action.ACCOUNT_ADDED),
    )
    if not active:
        st.info("Nobody has an account or has logged in yet.", icon=":material/group:")
    else:
        _show_active(active)
    if removed:
        with st.expander(f"Removed: {words.count(len(removed), 'account')}"):
            st.dataframe(removed_frame(removed), hide_index=True, column_config=_COLUMNS)
    people_dialogs.show(core)


def _show_active(active: Sequence[Account]) -> None:
    st.caption(f"{words.count(len(active), 'account')}. Tick one to change something.")
    picked = pick_rows(
        people_frame(active),
        [one.name for one in active],
        _COLUMNS,
        query=_QUERY,
        mode="single-row",
    )
    for one in active:
        if one.name in picked:
            _show_person(one)


def _show_person(account: Account) -> None:
    by_login = account.source is Source.LOGIN
    with (
        st.container(border=True),
        st.container(horizontal=True, vertical_alignment="center"),
    ):
        st.markdown(f"**{words.plain(account.name)}**, {account.role.value}", width="content")
        st.button(
            "Change the role",
            icon=":material/badge:",
            on_click=people_dialogs.begin,
            args=("role", account.name),
            **rights.needs(
                Action.ROLE_CHANGED,
                disabled=by_login,
                help="The provider of logins gives the role." if by_login else None,
            ),
        )
        st.button(
            "New token",
            icon=":material/key:",
            on_click=people_dialogs.begin,
            args=("token", account.name),
            **rights.needs(Action.TOKEN_ISSUED),
        )
        st.button(
            "Remove",
            icon=":material/person_remove:",
            on_click=people_dialogs.begin,
            args=("remove", account.name),
            **rights.needs(Action.ACCOUNT_REMOVED),
        )


def people_frame(accounts: Sequence[Account]) -> pd.DataFrame:
    """Accounts as rows, in the order given."""
    return pd.DataFrame(
        {
            "Account": [one.name for one in accounts],
            "Role": [one.role.value for one in accounts],
            "From": [one.source.value for one in accounts],
            "Last seen (UTC)": times([one.last_seen_at for one in accounts]),
            "Token from": [one.token_issued_by or words.NOTHING for one in accounts],
            "Added (UTC)": times([one.created_at for one in accounts]),
            "Added by": [one.created_by for one in accounts],
        }
    )


def removed_frame(accounts: Sequence[Account]) -> pd.DataFrame:
    """Removed accounts as rows, those that went last first."""
    newest = sorted(accounts, key=lambda one: one.removed_at or one.created_at, reverse=True)
    return pd.DataFrame(
        {
            "Account": [one.name for one in newest],
            "Role": [one.role.value for one in newest],
            "From": [one.source.value for one in newest],
            "Removed (UTC)": times([one.removed_at for one in newest]),
            "Last seen (UTC)": times([one.last_seen_at for one in newest]),
            "Added (UTC)": times([one.created_at for one in newest]),
            "Added by": [one.created_by for one in newest],
        }
    )


def times(moments: Sequence[datetime | None]) -> pd.Series:
    """Times in UTC as a column, without their zone, as tables show it."""
    plain = [one and one.astimezone(UTC).replace(tzinfo=None) for one in moments]
    return pd.Series(plain, dtype="datetime64[us]")
