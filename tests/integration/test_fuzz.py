"""Ten thousand hostile requests, slow callers and endless bodies against a real endpoint.

Ray Serve behind HAProxy, as an installation starts it. Each answer is a refusal in the shape of
its protocol or a correct prediction; in the end the same replica answers, and it has counted what
was sent. The shorter variant of the first is ``tests/unit/test_serve_fuzz.py``.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest
import schemathesis
from prometheus_client.parser import text_string_to_metric_families

from tests.proxied import Proxied, params_of_the_product, proxied
from tests.serving_support import RECORD
from tests.unit.documented import hold
from tests.unit.hostile_answers import faults_of
from tests.unit.hostile_requests import DOCUMENTS, ROUTES, Request, run
from tests.unit.protocols import PROBLEMS, put_bundle

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

Tell = Callable[[str], None]

COUNT = 10_000
#: By schemathesis, to each operation: so many that obey the document, and as many that do not.
DOCUMENTED = 40
#: Routes that take a body.
COUNTED = ("predict", "labels", "infer", "invocations")
#: What one request may take while the machine does other things.
HANG_S = 30.0
HUGE_BYTES = 100 * 2**20
PIECE = b" " * 65_536
#: Callers at a time that send as slowly as they can.
SLOW = 40
#: HAProxy waits half a minute for a head or a body, a replica two for one that is larger.
SLOW_S, TRICKLE_S = 30.0, 120.0
PATHS = sorted({path.format("titanic") for path, _ in DOCUMENTS.values()})


@dataclass
class Seen:
    """What was answered, and what was wrong with it."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{sum(self.answers.values())} answers"]
        for route in sorted({route for route, _ in self.answers}):
            counts = sorted((s, n) for (of, s), n in self.answers.items() if of == route)
            lines.append(f"  {route}: " + ", ".join(f"{n} x {s}" for s, n in counts))
        return "\n".join(lines)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """Both problems; one replica, so that a lost one is missed."""
    params = params_of_the_product(min_replicas=1, max_replicas=1)
    folder = tmp_path_factory.mktemp("fuzz")
    with proxied(folder, params, list(PROBLEMS), put_bundle) as running:
        yield running


@pytest.fixture(autouse=True)
def _same_replica(served: Proxied) -> Iterator[None]:
    """No test may cost a replica."""
    before = [replica.pid for replica in served.replicas()]
    assert len(before) == 1
    yield
    assert [replica.pid for replica in served.replicas()] == before
    assert served.call("GET", "/readyz").status_code == 200


def counted(served: Proxied) -> float:
    """Requests with a body that the replica has counted, whatever came of them."""
    text = served.call("GET", "/metrics").text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "pilothouse_requests_total" and sample.labels["route"] in COUNTED
    )


def test_ten_thousand_hostile_bodies(served: Proxied, tell: Tell) -> None:
    seen = Seen()
    before = counted(served)
    with httpx.Client(base_url=served.url, trust_env=False, timeout=HANG_S) as client:

        def ask(request: Request) -> None:
            try:
                response = client.post(request.path, **request.given)
            except httpx.HTTPError as exc:
                seen.answers[request.route, 0] += 1
                fault = f"no answer: {exc!r}"
            else:
                seen.answers[request.route, response.status_code] += 1
                fault = faults_of(request, response)
            if fault:
                what = f"{request.route} ({request.change}) {dict(request.headers)}"
                seen.faults.append(f"{what} {fault}: {request.content[:300]!r}")

        run(COUNT, "over HTTP", ask)
    tell(f"hostile bodies: {seen}\n{len(seen.faults)} faults")
    assert not seen.faults, f"{len(seen.faults)} faults\n" + "\n".join(seen.faults[:20])
    assert sum(seen.answers.values()) >= COUNT
    assert {route for route, status in seen.answers if status == 200} == set(ROUTES)
    assert counted(served) - before == sum(seen.answers.values())


def test_the_endpoint_answers_as_documented(served: Proxied, tell: Tell) -> None:
    held = hold(schemathesis.openapi.from_url(f"{served.url}/openapi.json"), DOCUMENTED)
    modes = Counter()
    for (_, mode, status), count in held.answers.items():
        modes[mode, status] += count
    tell(f"by the OpenAPI document: {Seen(modes)}")
    assert not held.faults, f"{len(held.faults)} faults\n" + "\n".join(held.faults[:20])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
def test_a_body_of_100_mb_is_refused_at_once(
    served: Proxied, path: str, chunked: bool, tell: Tell
) -> None:
    memory = served.replicas()[0].memory_info().rss
    with raw(served) as caller:
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {HUGE_BYTES}"
        caller.sendall(head(path, length))
        sent = 0
        piece = b"%x\r\n%s\r\n" % (len(PIECE), PIECE) if chunked else PIECE
        with contextlib.suppress(ConnectionError, TimeoutError):
            while sent < HUGE_BYTES and not has_answer(caller):
                caller.sendall(piece)
                sent += len(PIECE)
        status, body = answer_of(caller)
    tell(f"{path}: {status} after {sent / 2**20:.1f} MiB of 100")
    assert status == 413, body
    assert_shape(path, body, "too_large")
    assert sent < 2 * 16 * 2**20 + 2**24
    assert served.replicas()[0].memory_info().rss - memory < 128 * 2**20


@pytest.mark.parametrize("path", PATHS)
def test_a_client_that_only_sends_is_answered_too(served: Proxied, path: str) -> None:
    """As httpx does: everything first, and only then a look at what came."""
    response = served.call("POST", path, content=b" " * HUGE_BYTES)
    assert response.status_code == 413
    response = served.call("POST", path, content=iter([PIECE] * (HUGE_BYTES // len(PIECE))))
    assert response.status_code == 413


def test_slow_callers_are_turned_away_and_nobody_waits_for_them(
    served: Proxied, tell: Tell
) -> None:
    """Half of a head, a head without its body, a byte a second: all paths, ``SLOW`` at a time."""
    kinds = {
        "half a head": (b"POST /predict/titanic HTTP/1.1\r\nHost: x\r\nX-A: ", b""),
        "no body": (None, b""),
        "a byte a second": (None, b" "),
    }
    seen, lock = Seen(), threading.Lock()

    def send(number: int) -> None:
        kind, (begun, piece) = list(kinds.items())[number % len(kinds)]
        path = PATHS[number % len(PATHS)]
        started = time.monotonic()
        with raw(served) as caller:
            caller.sendall(begun or head(path, "Content-Length: 1000"))
            while not has_answer(caller, 1.0) and time.monotonic() - started < 3 * SLOW_S:
                with contextlib.suppress(ConnectionError):
                    caller.sendall(piece)
            status, body = answer_of(caller)
        with lock:
            seen.answers[kind, status] += 1
            # HAProxy has a text of its own for half a head, which no setting changes.
            if status != 408 or (kind != "half a head" and code_of(body) != "too_slow"):
                seen.faults.append(f"{kind} at {path}: {status} {body[:200]!r}")

    quick: list[float] = []
    with ThreadPoolExecutor(SLOW) as callers:
        done = [callers.submit(send, number) for number in range(SLOW)]
        while not all(each.done() for each in done):
            asked = time.monotonic()
            response = served.call("POST", "/predict/titanic", json={"records": [RECORD]})
            assert response.status_code == 200
            quick.append(time.monotonic() - asked)
            time.sleep(0.2)
        for each in done:
            each.result()
    tell(f"slow callers: {seen}\n{len(quick)} others, {max(quick):.2f} s at most")
    assert not seen.faults, seen.faults
    assert max(quick) < SLOW_S / 3


def test_a_large_body_may_not_trickle_for_ever(served: Proxied) -> None:
    """What is more than HAProxy holds gets to a replica, which has a limit of its own."""
    started = time.monotonic()
    with raw(served) as caller:
        caller.sendall(head("/predict/titanic", "Content-Length: 1000000") + b" " * 200_000)
        while not has_answer(caller, 1.0) and time.monotonic() - started < 2 * TRICKLE_S:
            with contextlib.suppress(ConnectionError):
                caller.sendall(b" ")
        status, body = answer_of(caller)
    assert status == 408, body
    assert_shape("/predict/titanic", body, "too_slow")
    assert time.monotonic() - started >= TRICKLE_S - 1.0


def head(path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@contextlib.contextmanager
def raw(served: Proxied) -> Iterator[socket.socket]:
    """A connection without a client, so that anything may be sent."""
    with socket.create_connection(("127.0.0.1", served.settings.serving_port), HANG_S) as caller:
        yield caller


def has_answer(caller: socket.socket, wait_s: float = 0.0) -> bool:
    """Whether something has come; it stays to be read."""
    caller.settimeout(wait_s or 0.001)
    try:
        caller.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    finally:
        caller.settimeout(HANG_S)
    return True


def answer_of(caller: socket.socket) -> tuple[int, bytes]:
    """Status and body of the one answer; (0, …) if the connection ended without one."""
    caller.settimeout(HANG_S)
    got = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < _length(got):
            piece = caller.recv(65_536)
            if not piece:
                break
            got += piece
    first, _, _ = got.partition(b"\r\n")
    status = int(first.split()[1]) if first.startswith(b"HTTP/1.1 ") else 0
    return status, got.partition(b"\r\n\r\n")[2]


def _length(got: bytes) -> int:
    for line in got.lower().partition(b"\r\n\r\n")[0].split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def assert_shape(path: str, body: bytes, code: str) -> None:
    """The error shape of the protocol at an address."""
    if path.startswith("/v2"):
        assert b'"error":"' in body
    elif path.startswith("/invocations"):
        assert b'"error_code":"BAD_REQUEST"' in body
    else:
        assert code_of(body) == code


def code_of(body: bytes) -> str:
    """The code of an error in the shape of our own routes."""
    return str(json.loads(body)["error"]["code"])
