"""Sessions of those who signed in with a token: a signed cookie, and what has been ended."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from itsdangerous import BadData, URLSafeTimedSerializer

from core.access.secret_file import load_secret
from core.settings import Settings, load_settings

_KEY_FILE = "panel.key"
_SALT = "session of the panel"


@dataclass(frozen=True)
class Session:
    """Somebody who has signed in, and with which token."""

    id: str
    name: str
    #: Sign of the token; another one, or none, ends the session.
    mark: str
    age_s: float


class Sessions:
    """Writes and reads the cookie. What was ended is remembered until it would end by itself.

    That memory is this process's: after a restart of the panel a cookie that somebody has
    kept from before a sign-out counts again, until its time is over or the token is renewed.
    """

    def __init__(
        self,
        key: bytes,
        *,
        longest_s: float,
        cookie: str = "pilothouse_session",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cookie = cookie
        self._longest_s = longest_s
        self._clock = clock
        self._signer = URLSafeTimedSerializer(
            key, salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._ended: dict[str, float] = {}
        self._marks: dict[str, str] = {}
        self._lock = threading.Lock()

    def begin(self, name: str, mark: str) -> str:
        """The cookie of a new session."""
        said = self._signer.dumps([secrets.token_urlsafe(12), name, mark, self._clock()])
        return said if isinstance(said, str) else said.decode("ascii")

    def read(self, cookie: str | None) -> Session | None:
        """The session of a cookie that we have signed; ``None`` if it is over."""
        session = self.signed(cookie)
        if session is None or session.age_s >= self._longest_s or self.is_ended(session.id):
            return None
        return session

    def signed(self, cookie: str | None) -> Session | None:
        """The session of a cookie that we have signed, even if it is over."""
        if not cookie:
            return None
        try:
            id_, name, mark, begun = self._signer.loads(cookie)
        except (BadData, ValueError, TypeError):
            return None
        return Session(id_, name, self._marks.get(id_, mark), max(self._clock() - begun, 0.0))

    def end(self, session_id: str) -> None:
        """Ends a session now, or a login, whatever its cookie says."""
        now = self._clock()
        self._marks.pop(session_id, None)
        with self._lock:
            self._ended = {one: until for one, until in self._ended.items() if until > now}
            self._ended[session_id] = now + self._longest_s

    def follow(self, session_id: str, mark: str) -> None:
        """Lets a session go on under the token by which its person has replaced the one before."""
        self._marks[session_id] = mark

    def is_ended(self, session_id: str) -> bool:
        """Whether a session, or a login, was ended."""
        return session_id in self._ended


def make_sessions(settings: Settings) -> Sessions:
    """The sessions of an installation; the key is made at first use.

    Raises:
        SetupError: the key can neither be read nor made.
    """
    return Sessions(
        load_secret(settings.home / "secrets" / _KEY_FILE),
        longest_s=settings.session_hours * 3600,
        # Cookies do not know ports, and two installations may share a host.
        cookie=f"pilothouse_session_{settings.panel_port}",
    )


@cache
def sessions() -> Sessions:
    """The sessions of this process, which the server and every page share."""
    return make_sessions(load_settings())
