"""The one place where a failure becomes a sentence on the screen."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import streamlit as st

from app.components import words
from core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    Offence,
    PilothouseError,
    UnavailableError,
)

_log = logging.getLogger("pilothouse.panel")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Failure:
    """What went wrong, for an operator to read."""

    message: str
    fix: str = ""
    #: A passing state of the world rather than a fault: shown calmly.
    calm: bool = False
    offences: tuple[Offence, ...] = ()

    @property
    def sentence(self) -> str:
        """Message and fix in one text."""
        return f"{self.message} {self.fix}".strip()


def failure_from(exc: Exception) -> Failure:
    """Translates an exception; an unexpected one is logged with its trace and a reference."""
    if isinstance(exc, PilothouseError):
        return Failure(
            exc.message,
            exc.fix,
            calm=isinstance(exc, UnavailableError | ConflictError | ForbiddenError),
            offences=exc.offences if isinstance(exc, InvalidInputError) else (),
        )
    reference = secrets.token_hex(4)
    _log.error("unexpected failure, reference %s", reference, exc_info=exc)
    return Failure(
        "Something went wrong that nobody foresaw.",
        f"Details are in the panel's log under the reference {reference}; "
        "reloading the page is safe.",
    )


def attempt(read: Callable[[], _T]) -> _T | Failure:
    """Returns what ``read`` returns, or why it could not: never an empty stand-in."""
    try:
        return read()
    except Exception as exc:  # noqa: BLE001 - translated and logged in failure_from
        return failure_from(exc)


@contextmanager
def guarded() -> Iterator[None]:
    """Shows a failure of the block in place; the rest of the page goes on."""
    try:
        yield
    except Exception as exc:  # noqa: BLE001 - translated and logged in failure_from
        show_failure(failure_from(exc))


def show_failure(failure: Failure) -> None:
    """Draws a failure with its fix and every offending field."""
    lines = [f"**{words.plain(failure.message)}**", words.plain(failure.fix)]
    lines += [f"- **{words.plain(o.field)}**: {words.plain(o.problem)}" for o in failure.offences]
    text = "\n\n".join(line for line in lines if line)
    if failure.calm:
        st.warning(text, icon=":material/info:")
    else:
        st.error(text, icon=":material/error:")
