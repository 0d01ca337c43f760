"""Load at a fixed rate against the served models, in a process of its own, and what came of it.

Open loop: a request is sent when its time has come, whether or not the ones before it were
answered, so that a pause of the server shows as what it is. ``python -m tests.load`` is the
process; ``load`` starts it and ``Load.stop`` reads what it saw.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp

from core.settings import CODE_ROOT

RATE_PER_S = 300.0
TIMEOUT_S = 30.0
#: A client that retries waits so long before its second and last attempt.
RETRY_AFTER_S = 0.1
#: How often ``/readyz`` is asked beside the load.
READY_EVERY_S = 0.1
#: Predictions sent so shortly before or after it are what ``/readyz`` has to agree with.
BESIDE_S = 0.3
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Asked:
    """One request. Times are of the monotonic clock, which all processes of a machine share.

    ``outcome`` is a status, ``refused`` (no connection), ``dropped`` or ``timeout``; ``retry``
    is the same of a second attempt where the first was no 2xx, and empty otherwise.
    """

    sent_s: float
    latency_s: float
    outcome: str
    version: int | None = None
    retry: str = ""

    @property
    def is_answered(self) -> bool:
        """Whether it was a 2xx."""
        return self.outcome.startswith("2")

    @property
    def done_s(self) -> float:
        """When its answer was there."""
        return self.sent_s + self.latency_s


@dataclass(frozen=True)
class Summary:
    """What a load saw: predictions, and ``/readyz`` beside them, by the time they were sent."""

    wanted_rate_per_s: float
    predictions: tuple[Asked, ...]
    ready: tuple[Asked, ...]

    @property
    def outcomes(self) -> Counter[str]:
        """Predictions by outcome."""
        return Counter(asked.outcome for asked in self.predictions)

    @property
    def failed(self) -> tuple[Asked, ...]:
        """Predictions that were no 2xx."""
        return tuple(asked for asked in self.predictions if not asked.is_answered)

    @property
    def failed_twice(self) -> tuple[Asked, ...]:
        """Predictions that a client that retries once has not got either."""
        return tuple(asked for asked in self.failed if not asked.retry.startswith("2"))

    @property
    def rate_per_s(self) -> float:
        """Requests a second that were really sent."""
        span_s = self.predictions[-1].sent_s - self.predictions[0].sent_s
        return (len(self.predictions) - 1) / span_s if span_s else 0.0

    @property
    def longest_gap_s(self) -> float:
        """Longest time without a success, between two that were sent."""
        sent = [asked.sent_s for asked in self.predictions if asked.is_answered]
        ends = [self.predictions[0].sent_s, *sent, self.predictions[-1].sent_s]
        return max(after - before for before, after in pairwise(ends))

    @property
    def versions(self) -> tuple[tuple[int, float, float, int], ...]:
        """(version, first and last time sent, requests), by first time."""
        seen: dict[int, list[float]] = {}
        for asked in self.predictions:
            if asked.version is not None:
                seen.setdefault(asked.version, []).append(asked.sent_s)
        return tuple((name, times[0], times[-1], len(times)) for name, times in seen.items())

    def after(self, since_s: float, until_s: float = float("inf")) -> tuple[Asked, ...]:
        """Predictions sent from ``since_s`` on and before ``until_s``."""
        return tuple(asked for asked in self.predictions if since_s <= asked.sent_s < until_s)

    def untrue_ready(self) -> tuple[Asked, ...]:
        """Answers of ``/readyz`` that predictions sent beside them all contradict."""
        return tuple(asked for asked in self.ready if self._is_untrue(asked))

    def _is_untrue(self, ready: Asked) -> bool:
        beside = self.after(ready.sent_s - BESIDE_S, ready.sent_s + BESIDE_S)
        return bool(beside) and all(asked.is_answered != ready.is_answered for asked in beside)

    def __str__(self) -> str:
        begun = self.predictions[0].sent_s
        latencies = sorted(asked.latency_s for asked in self.predictions if asked.is_answered)
        at = [latencies[int(len(latencies) * share)] * 1e3 for share in (0.5, 0.99)] or [0.0, 0.0]
        lines = [
            f"{len(self.predictions)} predictions at {self.rate_per_s:.0f}/s of"
            f" {self.wanted_rate_per_s:.0f}/s: {_counts(self.outcomes)};"
            f" p50 {at[0]:.1f} ms, p99 {at[1]:.1f} ms",
            f"no success for {self.longest_gap_s:.2f} s at most;"
            f" {len(self.failed)} failed, {len(self.failed_twice)} of them after one retry too",
            f"readyz: {_counts(Counter(asked.outcome for asked in self.ready))};"
            f" {len(self.untrue_ready())} untrue",
        ]
        lines += [
            f"v{name}: {count} answers to requests sent from {first - begun:.2f} s"
            f" to {last - begun:.2f} s"
            for name, first, last, count in self.versions
        ]
        return "\n".join(f"  {line}" for line in lines)


class Load:
    """A load that runs."""

    def __init__(self, process: subprocess.Popen[bytes], file: Path, rate_per_s: float) -> None:
        self._process = process
        self._file = file
        self._rate_per_s = rate_per_s
        self._summary: Summary | None = None

    def stop(self) -> Summary:
        """Sends nothing more, waits for what is under way, and says what came of it all."""
        if self._summary is None:
            self._process.communicate(timeout=STOP_TIMEOUT_S)
            assert self._process.returncode == 0, "the load generator has failed"
            seen = json.loads(self._file.read_text(encoding="utf-8"))
            predictions, ready = ([Asked(**one) for one in seen[name]] for name in _FILES)
            self._summary = Summary(self._rate_per_s, _by_time(predictions), _by_time(ready))
        return self._summary


@contextmanager
def load(url: str, path: str, body: object, rate_per_s: float = RATE_PER_S) -> Iterator[Load]:
    """Sends ``body`` to ``path`` at a fixed rate until it is stopped; the load is on when given."""
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        file, sent = Path(folder) / "seen.json", Path(folder) / "body.json"
        # An argument may have 128 KiB; a batch has more.
        sent.write_text(json.dumps(body), encoding="utf-8")
        options = ("--url", url, "--path", path, "--rate", str(rate_per_s), "--to", str(file))
        command = [sys.executable, "-m", "tests.load", *options, "--body", str(sent)]
        with subprocess.Popen(
            command, cwd=CODE_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline(), "the load generator has not started"
                yield Load(process, file, rate_per_s)
            finally:
                process.kill()


_FILES = ("predictions", "ready")


def _by_time(asked: list[Asked]) -> tuple[Asked, ...]:
    return tuple(sorted(asked, key=lambda one: one.sent_s))


def _counts(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(outcomes.items())) or "none"


class _Generator:
    """Sends, until ``stopping`` is set."""

    def __init__(self, session: aiohttp.ClientSession, path: str, body: bytes) -> None:
        self._session = session
        self._path = path
        self._body = body
        self.stopping = asyncio.Event()
        self.predictions: list[Asked] = []
        self.ready: list[Asked] = []

    async def run(self, rate_per_s: float) -> None:
        """Both at their rates; returns once everything sent has ended."""
        await asyncio.gather(
            self._pace(1.0 / rate_per_s, self._predict), self._pace(READY_EVERY_S, self._ask_ready)
        )

    async def _pace(self, every_s: float, send: Callable[[], Any]) -> None:
        begun = time.monotonic()
        under_way: set[asyncio.Task[None]] = set()
        sent = 0
        while not self.stopping.is_set():
            due = int((time.monotonic() - begun) / every_s) + 1
            for _ in range(due - sent):
                task = asyncio.ensure_future(send())
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            sent = max(sent, due)
            await asyncio.sleep(max(0.0, begun + sent * every_s - time.monotonic()))
        await asyncio.gather(*under_way)

    async def _predict(self) -> None:
        sent_s = time.monotonic()
        outcome, version = await self._ask("POST", self._path, self._body)
        latency_s = time.monotonic() - sent_s
        retry = ""
        if not outcome.startswith("2"):
            await asyncio.sleep(RETRY_AFTER_S)
            retry, _ = await self._ask("POST", self._path, self._body)
        self.predictions.append(Asked(sent_s, latency_s, outcome, version, retry))

    async def _ask_ready(self) -> None:
        sent_s = time.monotonic()
        outcome, _ = await self._ask("GET", "/readyz", None)
        self.ready.append(Asked(sent_s, time.monotonic() - sent_s, outcome))

    async def _ask(self, method: str, path: str, body: bytes | None) -> tuple[str, int | None]:
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            async with self._session.request(method, path, data=body, headers=headers) as response:
                content = await response.read()
        except TimeoutError:
            return "timeout", None
        except aiohttp.ClientConnectorError:
            return "refused", None
        except aiohttp.ClientError:
            return "dropped", None
        if response.status != 200 or method == "GET":
            return str(response.status), None
        return "200", int(json.loads(content)["model_version"])


async def _main(options: argparse.Namespace) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(options.url, connector=connector, timeout=timeout) as session:
        generator = _Generator(session, options.path, Path(options.body).read_bytes())
        loop = asyncio.get_running_loop()
        # Whoever started us ends our input, by word or by dying.
        loop.add_reader(sys.stdin, generator.stopping.set)
        loop.call_later(0.5, _say_on)
        await generator.run(options.rate)
    seen = {name: [asdict(one) for one in getattr(generator, name)] for name in _FILES}
    Path(options.to).write_text(json.dumps(seen), encoding="utf-8")


def _say_on() -> None:
    sys.stdout.write("on\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Sends one prediction over and over.")
    for name in ("--url", "--path", "--body", "--to"):
        parser.add_argument(name, required=True)
    parser.add_argument("--rate", type=float, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(_main(_options()))
