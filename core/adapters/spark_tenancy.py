"""Who has a warm Spark session, and when it ends: a state machine without Spark or clock.

Times are seconds of one steady clock, handed in.
"""

from __future__ import annotations

import threading
from enum import StrEnum

#: An owner that has not looked for so long is dead: it looks twice a second.
OWNER_LOST_S = 15.0
#: A session that nobody has had yet is kept for whoever asked for it.
FIRST_LEASE_S = 60.0
#: Cancelled work that goes on for so long takes its session with it.
CANCEL_TIMEOUT_S = 20.0


class Answer(StrEnum):
    """What somebody hears who wants the session."""

    GRANTED = "granted"
    BUSY = "busy"
    #: Made for another plan, lost or closing; from now on it serves nobody.
    RETIRED = "retired"


class Duty(StrEnum):
    """What the session's keeper has to do now."""

    NOTHING = "nothing"
    CANCEL = "cancel"
    CLOSE = "close"


class Tenancy:
    """The state of one session made for the plan ``key``; safe to use from several threads."""

    def __init__(self, key: str, idle_s: float, now_s: float) -> None:
        self._key = key
        self._idle_s = idle_s
        self._allowed_idle_s = max(idle_s, FIRST_LEASE_S)
        self._lock = threading.Lock()
        self._owner: str | None = None
        self._is_working = False
        self._is_lost = self._is_retired = False
        self._cancelled_at: float | None = None
        self._looked_at = self._idle_since = now_s

    def lease(self, owner: str, key: str, now_s: float) -> Answer:
        """Gives the session to ``owner``, if it is free and made for such a plan."""
        with self._lock:
            if self._owner is not None:
                return Answer.BUSY
            if self._is_retired or self._is_lost or key != self._key:
                self._is_retired = True
                return Answer.RETIRED
            self._owner, self._looked_at = owner, now_s
            self._allowed_idle_s = self._idle_s
            return Answer.GRANTED

    def look(self, owner: str, now_s: float) -> None:
        """The owner is alive.

        Raises:
            PermissionError: the session is not theirs, or not any more.
        """
        with self._lock:
            self._require(owner)
            self._looked_at = now_s

    def begin_work(self, owner: str) -> None:
        """The owner's work starts.

        Raises:
            PermissionError: the session is not theirs, or not any more.
        """
        with self._lock:
            self._require(owner)
            self._is_working = True

    def end_work(self) -> None:
        """The work has ended, by itself or because it was cancelled."""
        with self._lock:
            self._is_working = False

    def release(self, owner: str, now_s: float) -> None:
        """Takes the session back; what its owner left running is cancelled first."""
        with self._lock:
            if self._owner == owner:
                self._release(now_s)

    def lose(self) -> None:
        """The session cannot be used again."""
        with self._lock:
            self._is_lost = True

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits for the work that is going on."""
        return self._cancelled_at is not None

    def duty(self, now_s: float) -> Duty:
        """What to do now; ask a few times a second."""
        with self._lock:
            if self._owner is not None and now_s - self._looked_at > OWNER_LOST_S:
                self._release(now_s)
            if self._cancelled_at is not None:
                return self._duty_of_cancelling(self._cancelled_at, now_s)
            if self._owner is not None:
                return Duty.NOTHING
            is_stale = now_s - self._idle_since > self._allowed_idle_s
            self._is_retired = self._is_retired or self._is_lost or is_stale
            return Duty.CLOSE if self._is_retired else Duty.NOTHING

    def _duty_of_cancelling(self, since_s: float, now_s: float) -> Duty:
        if not self._is_working:
            self._set_free(now_s)
            return Duty.NOTHING
        is_stuck = self._is_lost or now_s - since_s > CANCEL_TIMEOUT_S
        return Duty.CLOSE if is_stuck else Duty.CANCEL

    def _release(self, now_s: float) -> None:
        if not self._is_working:
            self._set_free(now_s)
        elif self._cancelled_at is None:
            self._cancelled_at = now_s

    def _set_free(self, now_s: float) -> None:
        self._owner = self._cancelled_at = None
        self._idle_since = now_s

    def _require(self, owner: str) -> None:
        if self._owner != owner:
            raise PermissionError(f"{owner} does not have this session")
