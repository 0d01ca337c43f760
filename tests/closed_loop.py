"""Callers who each ask again as soon as they are answered, in a process of their own.

Run as ``python -m tests.closed_loop PORT CALLERS SECONDS [RECORDS]``; writes the count of each
outcome as JSON. It speaks as much HTTP as an answer of ours needs: a client library would take
more of the two cores than what it asks.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass, field

from tests.serving_support import RECORD

_HEAD_END = b"\r\n\r\n"
_STOP_TIMEOUT_S = 30.0


@dataclass
class Asked:
    """What all callers share; ``over`` says that nobody asks again."""

    request: bytes
    outcomes: Counter[str] = field(default_factory=Counter)
    over: bool = False


class Caller(asyncio.Protocol):
    """One connection. ``ended`` says whether it may be opened anew."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._buffer = b""
        self._answered = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._asked.request)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._buffer += data
        head, found, body = self._buffer.partition(_HEAD_END)
        if not found:
            return
        lines = head.lower()
        length = int(lines.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._asked.outcomes[head[9:12].decode()] += 1
        self._buffer = b""
        # So says a proxy that is being replaced: the connection ends, the caller comes again.
        if self._asked.over or b"connection: close" in lines:
            self._answered = True
            self._transport.close()
        else:
            self._transport.write(self._asked.request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answered:
            self._asked.outcomes["dropped"] += 1
        self.ended.set_result(None)


async def _call(port: int, asked: Asked) -> None:
    loop = asyncio.get_running_loop()
    while not asked.over:
        try:
            _, caller = await loop.create_connection(lambda: Caller(asked), "127.0.0.1", port)
        except OSError:
            asked.outcomes["refused"] += 1
            await asyncio.sleep(0.05)
        else:
            await caller.ended


async def ask(port: int, callers: int, seconds: float, records: int) -> Counter[str]:
    """Asks for so long; returns the count of each status, and of connections that were cut."""
    body = json.dumps({"records": [RECORD] * records}).encode()
    asked = Asked(
        b"POST /predict/titanic HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    )
    tasks = [asyncio.create_task(_call(port, asked)) for _ in range(callers)]
    await asyncio.sleep(seconds)
    asked.over = True
    await asyncio.wait_for(asyncio.gather(*tasks), _STOP_TIMEOUT_S)
    return asked.outcomes


if __name__ == "__main__":
    _port, _callers = int(sys.argv[1]), int(sys.argv[2])
    _records = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    _counts = asyncio.run(ask(_port, _callers, float(sys.argv[3]), _records))
    sys.stdout.write(json.dumps(_counts))
