"""Files on their way in. The work goes on whatever the page does, and a reload finds it again."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import streamlit as st

from app.components.failures import Failure, failure_from

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.data.batches import Added


@dataclass
class Upload:
    """One file that was given, how far it is, and what became of it."""

    name: str
    share: float = 0.0
    doing: str = "waiting"
    outcome: Added | Failure | None = None

    def hear(self, share: float, doing: str) -> None:
        """Takes note of how far it is."""
        self.share, self.doing = share, doing


class Uploads:
    """The last file of each problem; one of a problem is checked at a time."""

    def __init__(self) -> None:
        self._last: dict[str, Upload] = {}

    def start(
        self, core: Pilothouse, problem: str, name: str, content: BinaryIO, *, actor: str
    ) -> None:
        """Checks and stores a file in the background, for whoever has given it."""
        upload = self._last[problem] = Upload(name)

        def work() -> None:
            try:
                upload.outcome = core.batches.add(
                    problem,
                    content,
                    name=name,
                    actor=actor,
                    on_progress=upload.hear,
                )
            except Exception as exc:  # noqa: BLE001 - translated and logged in failure_from
                upload.outcome = failure_from(exc)

        threading.Thread(target=work, daemon=True).start()

    def last(self, problem: str) -> Upload | None:
        """The last file of a problem, unless the operator has put it away."""
        return self._last.get(problem)

    def put_away(self, problem: str) -> None:
        """Forgets the last file of a problem and its verdict; what was accepted is stored."""
        self._last.pop(problem, None)


# Of the process and not of a session, as what is being stored is.
@st.cache_resource(show_spinner=False)
def uploads() -> Uploads:
    """The uploads of this panel."""
    return Uploads()
