"""Choosing resource profiles: those with a name, or one put together from numbers."""

from __future__ import annotations

import streamlit as st

from app.components import words
from app.components.failures import Failure, attempt, show_failure
from core.errors import InvalidInputError, NotFoundError
from core.params import Params, Profile
from core.params_profile import (
    LEAST_EXECUTOR_MB,
    MOST_CORES,
    MOST_EXECUTORS,
    MOST_MEMORY_GB,
    write_profile,
)

#: Stands in a list of names for a profile that has none.
OTHER = "Other…"
_MB_PER_GB = 1024
_LEAST_GB = LEAST_EXECUTOR_MB / _MB_PER_GB
_STEP_GB = 0.5


def choose_profile(params: Params, asked: str, cores: int) -> Profile | None:
    """A select box of the named profiles and ``OTHER``; ``asked`` is chosen at first.

    ``None`` where the figures of a free choice do not go together, which is said there.

    Args:
        params: the parameters, with the named profiles.
        asked: a profile by name or written out; anything else means the default one.
        cores: those of this machine, for the label of an oversubscribed profile.
    """
    names = [*params.profiles, OTHER]
    first = _known(params, asked)
    chosen = st.selectbox(
        "Profile",
        names,
        index=names.index(first.name if first.name in names else OTHER),
        format_func=lambda name: label(params, name, cores),
        help="Cores and memory that Spark gets on the cluster",
    )
    return put_together(params, first) if chosen == OTHER else params.profiles[chosen]


def label(params: Params, name: str, cores: int) -> str:
    """What a list shows for a name of a profile or for ``OTHER``."""
    return name if name == OTHER else words.profile_label(params.profiles[name], cores)


def put_together(params: Params, first: Profile) -> Profile | None:
    """Number inputs for a profile, which begin with the figures of ``first``.

    ``None``, with the reason on the page, where the memory is too little for so many
    executors. An error that left here would keep whatever comes after these inputs from
    being drawn, and Streamlit forgets the state of what it does not draw.
    """
    executors_at, each_at, memory_at = st.columns(3)
    executors = executors_at.number_input(
        "Executors", min_value=1, max_value=MOST_EXECUTORS, value=first.executors
    )
    each = each_at.number_input(
        "Cores of each", min_value=1, max_value=MOST_CORES, value=first.cores_per_executor
    )
    memory_gb = memory_at.number_input(
        "Memory in total (GiB)",
        # Not by the executors: an input whose bounds change forgets what was typed.
        min_value=_LEAST_GB,
        max_value=float(MOST_MEMORY_GB),
        value=first.memory_mb / _MB_PER_GB,
        step=_STEP_GB,
        format="%g",
        help="Over all executors; each needs half a GiB at least",
    )
    chosen = attempt(lambda: params.profile_named(write_profile(executors, each, memory_gb)))
    if isinstance(chosen, Failure):
        show_failure(chosen)
        return None
    return chosen


def _known(params: Params, asked: str) -> Profile:
    try:
        return params.profile_named(asked)
    except (NotFoundError, InvalidInputError):
        return params.profile_named(params.profile)
