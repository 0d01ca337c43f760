"""Plain ASGI: reading a body, writing an answer, one shape for every error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import msgspec

from core.errors import InvalidInputError, NotFoundError, Offence, PilothouseError, UnavailableError
from serve.schemas import Detail, ErrorAnswer, ErrorBody

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"
HTML = b"text/html; charset=utf-8"

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)
#: So many broken rules are named where an error is a single text.
_DETAILS_IN_WORDS = 20
#: What a body may take that does not come in one piece: 1.1 Mbit/s for 16 MiB.
_BODY_TIMEOUT_S = 120.0
_STATUS = {InvalidInputError: 422, NotFoundError: 404, UnavailableError: 503}


@dataclass(frozen=True)
class Answer:
    """What goes back to the caller."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why a request is not answered; each protocol has a shape of its own for it."""

    status: int
    code: str
    message: str
    details: tuple[Detail, ...] = ()
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def in_words(self) -> str:
        """Message and details as one text, for shapes that have room for no more."""
        named = [f"{detail.field} {detail.problem}" for detail in self.details[:_DETAILS_IN_WORDS]]
        return f"{self.message} {'; '.join(named)}".strip()


class HttpError(Exception):
    """An answer other than success that the protocol calls for, not the product."""

    def __init__(
        self, status: int, code: str, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.failure = Failure(status, code, message, headers=headers)

    @property
    def answer(self) -> Answer:
        """In the shape of our own routes."""
        return error_answer(self.failure)


class DisconnectedError(Exception):
    """The caller left before the request was whole; there is nobody to answer."""


def error_answer(failure: Failure) -> Answer:
    """An error in the shape of our own routes."""
    body = ErrorAnswer(ErrorBody(failure.code, failure.message, list(failure.details)))
    return Answer(msgspec.json.encode(body), failure.status, headers=failure.headers)


def failure_of(error: PilothouseError) -> Failure:
    """A failure of the product as one of a request."""
    details: tuple[Detail, ...] = ()
    if isinstance(error, InvalidInputError):
        details = tuple(Detail(_place(offence), offence.problem) for offence in error.offences)
    status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 500)
    return Failure(status, error.code, error.message, details)


def _place(offence: Offence) -> str:
    if offence.row is None:
        return offence.field
    record = f"records[{offence.row}]"
    return f"{record}.{offence.field}" if offence.field else record


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Reads a request's body of at most ``limit`` bytes.

    Raises:
        HttpError: the body is larger (413), or has not come to its end in time (408).
        DisconnectedError: the caller left.
    """
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body") and len(body) <= limit:
        return body
    try:
        # A timer costs as much as a small body, which comes in one piece.
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            return await _read_pieces(message, receive, limit)
    except TimeoutError as exc:
        raise HttpError(408, "too_slow", "The request has not arrived in time.") from exc


async def _read_pieces(message: Message, receive: Receive, limit: int) -> bytes:
    """The body that begins with a message."""
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()


def require_json(scope: Scope) -> None:
    """Refuses bodies that say they are something other than JSON in UTF-8.

    A missing ``Content-Type`` is taken for JSON.

    Raises:
        HttpError: 415.
    """
    kind = require_plain_utf8(scope)
    is_json = kind in ("", "application/json") or (
        kind.startswith("application/") and kind.endswith("+json")
    )
    if not is_json:
        raise unsupported("Send JSON in UTF-8 with Content-Type: application/json.")


def require_plain_utf8(scope: Scope) -> str:
    """Refuses bodies that are compressed or text in another encoding; returns the media type.

    The media type is in lower case and without parameters; empty if none is said.

    Raises:
        HttpError: 415.
    """
    kind, _, parameters = header(scope, b"content-type").decode("latin-1").lower().partition(";")
    charset = parameters.replace('"', "").replace(" ", "")
    if "charset=" in charset and "charset=utf-8" not in charset:
        raise unsupported("Send JSON in UTF-8 with Content-Type: application/json.")
    if header(scope, b"content-encoding").lower() not in (b"", b"identity"):
        raise unsupported("Send the body as it is, without Content-Encoding.")
    return kind.strip()


async def send_answer(send: Send, answer: Answer, *, with_body: bool = True) -> None:
    """Writes an answer; ``with_body`` is False for HEAD."""
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(answer.body)).encode()),
        *_HEADERS,
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body if with_body else b""})


def header(scope: Scope, name: bytes) -> bytes:
    """The first header of that lower-case name, or nothing."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


def _too_large(limit: int) -> HttpError:
    return HttpError(413, "too_large", f"The body is larger than {limit / 2**20:g} MiB.")


def unsupported(message: str) -> HttpError:
    """A body of a kind that an address does not take."""
    return HttpError(415, "unsupported_media_type", message)
