"""What addresses lead to, in groups: the routes of one protocol, with its shape of errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import msgspec

from core.access.serving_key import Scope as KeyScope
from serve.http import Answer, Failure, HttpError, Receive, Scope
from serve.recorder import Record

#: Bodies up to here are answered on the loop: some 300 records, 0.4 ms. Handing a
#: body to a thread and back doubles the time of a single record. See docs/http.md.
INLINE_BYTES = 32 * 1024

#: Bodies scored in a turn of the loop: few against the requests that make another replica worth
#: it, enough that turns cost little.
IN_A_TURN = 8

#: What requests are counted under that nobody has to tell apart.
OTHER = "other"

Handler = Callable[[Scope, Receive], Awaitable[Answer]]


class Route(NamedTuple):
    """What is at one address. One that is for a problem asks for a key, if keys are required.

    Where ``key_scope`` is ``None`` any key of the problem will do. One that is ``locked`` and
    for no problem takes the key of the installation alone. ``name`` is what requests are
    counted under.
    """

    method: str
    handler: Handler
    problem: str = ""
    key_scope: KeyScope | None = None
    name: str = OTHER
    locked: bool = False


class RouteGroup(Protocol):
    """The routes of one protocol."""

    @property
    def addresses(self) -> tuple[tuple[str, str], ...]:
        """(method, address) of every route; ``{problem}`` and ``{version}`` stand for names."""

    @property
    def roots(self) -> tuple[str, ...]:
        """First parts of addresses, such as ``v2``; all that begins so is of this protocol."""

    def find(self, path: str) -> Route:
        """The route at an address that begins with one of the roots.

        Raises:
            HttpError: there is nothing (404).
            PilothouseError: it cannot be said which route it is.
        """

    def refuse(self, failure: Failure) -> Answer:
        """An error in the shape of the protocol."""


class Scoring:
    """Runs the scoring of one request where it disturbs the others least."""

    def __init__(self, record: Record) -> None:
        self._record = record
        #: In the order in which requests came.
        self._turn = asyncio.Semaphore(IN_A_TURN)
        # One thread: a second large request at a time would only share the same core.
        self._large = ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-request")

    async def run(self, size_bytes: int, work: Callable[[Record], Answer]) -> Answer:
        """Returns what ``work`` makes of a body of that size; it is given the inference log."""
        if size_bytes > INLINE_BYTES:
            # onnxruntime lets go of the interpreter, so small requests go on meanwhile.
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._large, work, self._record)
        # Scoring blocks the loop, so few bodies are scored in a turn of it and all others wait,
        # taken in and counted. If every body that came was scored in one turn, Ray Serve would
        # look between such turns, see nothing ongoing and never start a replica.
        if self._turn.locked():
            async with self._turn:
                return work(self._record)
        async with self._turn:
            await asyncio.sleep(0)
            return work(self._record)

    def close(self) -> None:
        """Ends the thread once its request is answered."""
        self._large.shutdown(wait=False)


def json_answer(document: object) -> Answer:
    """A document as JSON."""
    return Answer(msgspec.json.encode(document))


def nothing_here() -> HttpError:
    """There is no route at an address."""
    return HttpError(404, "not_found", "There is nothing at this address; see /docs.")
