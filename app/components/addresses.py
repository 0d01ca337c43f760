"""Which addresses a browser is told: what serves us here may be another machine's to open."""

from __future__ import annotations

import streamlit as st

from core.hosts import EVERYWHERE, LOOPBACK, address_of, host_of, is_loopback
from core.settings import Settings


def serving_address(settings: Settings) -> str:
    """Where this browser finds the served models."""
    return serving_address_for(settings, _opened_at())


def serving_address_for(settings: Settings, opened_at: str) -> str:
    """Where a browser finds the served models that has opened the panel at a host."""
    if settings.serving_public_url:
        return settings.serving_public_url
    host = opened_at if settings.host == EVERYWHERE else settings.host
    return address_of(settings.scheme, host, settings.serving_port)


def show_links(settings: Settings) -> None:
    """Links to what else an operator opens; what only answers on its own host is said so."""
    opened_at = _opened_at()
    with st.container(gap=None):
        api = f"{serving_address_for(settings, opened_at)}/docs"
        st.page_link(api, label="API of the models", icon=":material/api:")
        if is_loopback(opened_at) or not settings.is_one_machine:
            st.page_link(settings.mlflow_url, label="MLflow", icon=":material/monitoring:")
            st.page_link(
                settings.ray_dashboard_url,
                label="Ray dashboard",
                icon=":material/hub:",
                help=_token_hint(settings),
            )
    if not is_loopback(opened_at) and settings.is_one_machine:
        ports = f"{settings.mlflow_port} and {settings.ray_dashboard_port}"
        st.caption(
            f"MLflow and Ray's dashboard answer on their own host only, at ports {ports}: "
            "reach them through SSH."
        )


def _token_hint(settings: Settings) -> str | None:
    file = settings.ray_token_file
    return None if file is None else f"It asks for the token in {file}."


def _opened_at() -> str:
    """The host by which this browser has opened the panel."""
    return host_of(st.context.url or "") or LOOPBACK
