"""Who is let in: keys, scopes, problems, expiry, and how often."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.access.admission import AdmittedKey
from core.access.serving_key import Scope, digest_of
from core.access.use import read_use
from core.params_rates import RateParams
from core.scoring.bundle import BundleRef
from serve.asgi import EndpointApp
from serve.bucket import Bucket
from serve.gate import Gate
from serve.http import HttpError
from serve.key_use import KeyUse
from serve.logs import ReplicaLogs
from serve.store import ModelStore
from tests.serving_support import (
    OWN_TOKEN,
    RECORD,
    admission,
    artifact_server,
    user_config,
    write_tiny_bundle,
)

TOKEN = f"ph_{'a' * 12}_{'1' * 64}"
OTHER = f"ph_{'b' * 12}_{'2' * 64}"
NOW = datetime(2020, 11, 21, 12, tzinfo=UTC)


def key(token: str = TOKEN, *scopes: Scope, **given: Any) -> AdmittedKey:
    values: dict[str, Any] = {
        "id": token[3:15],
        "problem": "titanic",
        "scopes": scopes or (Scope.PREDICT,),
        "sha256": digest_of(token),
        "expires_at": None,
        "requests_per_second": None,
    }
    return AdmittedKey(**(values | given))


@dataclass
class Clock:
    """The clock of a gate, which stands still until it is moved."""

    now_s: float = NOW.timestamp()

    def __call__(self) -> float:
        return self.now_s


def gate_of(*keys: AdmittedKey, clock: Clock | None = None, **given: Any) -> Gate:
    clock = clock or Clock()
    gate = Gate(clock)
    tell(gate, *keys, **given)
    return gate


def tell(gate: Gate, *keys: AdmittedKey, required: bool = True, **given: Any) -> None:
    access = admission(Path("/nowhere"), *keys, required=required, **given)
    gate.apply({"access": access.model_dump(mode="json")})


def bearer(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"here"), (b"authorization", f"Bearer {token}".encode())]


def outcome(
    gate: Gate,
    headers: list[tuple[bytes, bytes]],
    problem: str = "titanic",
    scope: Scope | None = Scope.PREDICT,
) -> int:
    """200 if a request is let in, otherwise the status of its refusal."""
    try:
        gate.admit(headers, problem, scope)
    except HttpError as exc:
        return exc.answer.status
    return 200


def refusal(gate: Gate, headers: list[tuple[bytes, bytes]], problem: str = "titanic") -> HttpError:
    with pytest.raises(HttpError) as refused:
        gate.admit(headers, problem, Scope.PREDICT)
    return refused.value


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 401),
        (bearer(TOKEN), 200),
        ([(b"authorization", f"bEARER  {TOKEN} ".encode())], 200),
        ([(b"x-api-key", TOKEN.encode())], 200),
        ([(b"authorization", b"Basic eA=="), (b"x-api-key", TOKEN.encode())], 200),
        ([(b"x-api-key", b"ph_wrong"), (b"authorization", f"Bearer {TOKEN}".encode())], 200),
        ([(b"authorization", TOKEN.encode())], 401),
        ([(b"authorization", b"Basic eA==")], 401),
        (bearer(""), 401),
        (bearer(OTHER), 401),
        (bearer(TOKEN.upper()), 401),
        (bearer(TOKEN[:-1]), 401),
        (bearer(digest_of(TOKEN)), 401),
        # The id of a key that is there, with another secret, and the reverse.
        (bearer(f"ph_{'a' * 12}_{'2' * 64}"), 401),
        (bearer(f"ph_{'b' * 12}_{'1' * 64}"), 401),
        ([(b"authorization", b"Bearer \xff\xfe")], 401),
    ],
)
def test_where_a_key_may_stand(headers: list[tuple[bytes, bytes]], status: int) -> None:
    assert outcome(gate_of(key()), headers) == status


@pytest.mark.parametrize("garbage", ["ph_x", OTHER, TOKEN[:-1], "x" * 10_000, "Bearer"])
def test_every_key_that_is_not_taken_hears_the_same(garbage: str) -> None:
    expired = key(OTHER, expires_at=NOW - timedelta(seconds=1))
    gate = gate_of(key(), expired)
    answer = refusal(gate, bearer(garbage)).answer
    assert answer == refusal(gate, bearer("ph_y")).answer
    assert garbage.encode() not in answer.body
    assert answer.headers == (
        (b"www-authenticate", b'Bearer realm="pilothouse", error="invalid_token"'),
    )


def test_who_sends_no_key_is_told_how() -> None:
    answer = refusal(gate_of(), []).answer
    assert answer.headers == ((b"www-authenticate", b'Bearer realm="pilothouse"'),)
    assert b"Authorization: Bearer ph_" in answer.body


def test_a_key_is_for_its_problem_and_its_scopes() -> None:
    gate = gate_of(key(TOKEN, Scope.PREDICT), key(OTHER, Scope.LABELS))
    for token, scope in ((TOKEN, Scope.PREDICT), (OTHER, Scope.LABELS)):
        for wanted in Scope:
            expected = 200 if wanted is scope else 403
            assert outcome(gate, bearer(token), "titanic", wanted) == expected
        assert outcome(gate, bearer(token), "titanic", None) == 200
        assert outcome(gate, bearer(token), "orchard", None) == 403
        assert outcome(gate, bearer(token), "Titanic", scope) == 403
    answer = refusal(gate, bearer(OTHER)).answer
    message = msgspec.json.decode(answer.body)["error"]["message"]
    assert message == "This key is for labels of titanic and for nothing else."


def test_an_expired_key_is_out_to_the_second() -> None:
    clock = Clock()
    gate = gate_of(key(expires_at=NOW + timedelta(seconds=10)), clock=clock)
    clock.now_s += 9.999
    assert outcome(gate, bearer(TOKEN)) == 200
    clock.now_s += 0.001
    assert outcome(gate, bearer(TOKEN)) == 401


def test_a_gate_that_was_told_nothing_lets_nobody_in() -> None:
    gate = Gate()
    assert outcome(gate, []) == 401
    gate.apply({})
    assert outcome(gate, []) == 401


def test_what_cannot_be_read_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    gate = gate_of(key())
    broken = admission(Path("/nowhere")).model_dump(mode="json") | {"keys": [{"id": "planted"}]}
    gate.apply({"access": broken})
    assert outcome(gate, bearer(TOKEN)) == 200
    assert "cannot be read" in caplog.text
    assert "planted" not in caplog.text


def test_where_no_key_is_required_one_of_ours_is_still_checked() -> None:
    gate = gate_of(key(), required=False)
    assert outcome(gate, []) == 200
    assert outcome(gate, bearer("of-somebody-else")) == 200
    assert outcome(gate, bearer(TOKEN)) == 200
    assert outcome(gate, bearer(OTHER)) == 401
    assert outcome(gate, bearer(TOKEN), "orchard") == 403


def test_the_own_key_may_do_everything_without_a_limit() -> None:
    gate = gate_of(limits=RateParams(requests_per_second=0.001, burst=1))
    for scope in (*Scope, None):
        assert outcome(gate, bearer(OWN_TOKEN), "whatever", scope) == 200
    assert gate.used() == {}


def test_a_key_that_asks_too_often_is_told_when_to_ask_again() -> None:
    clock = Clock()
    gate = gate_of(key(), clock=clock, limits=RateParams(requests_per_second=0.4, burst=2))
    assert [outcome(gate, bearer(TOKEN)) for _ in range(3)] == [200, 200, 429]
    answer = refusal(gate, bearer(TOKEN)).answer
    assert answer.headers == ((b"retry-after", b"3"),)
    clock.now_s += 3
    assert [outcome(gate, bearer(TOKEN)) for _ in range(2)] == [200, 429]


def test_limits_are_of_a_key_and_survive_a_change_of_others() -> None:
    limits = RateParams(requests_per_second=1, burst=2)
    own_rate = key(OTHER, requests_per_second=10)
    gate = gate_of(key(), own_rate, limits=limits)
    assert [outcome(gate, bearer(TOKEN)) for _ in range(3)] == [200, 200, 429]
    # Ten times the rate, ten times the burst.
    assert [outcome(gate, bearer(OTHER)) for _ in range(21)] == [200] * 20 + [429]
    tell(gate, key(), limits=limits)
    assert outcome(gate, bearer(TOKEN)) == 429
    assert outcome(gate, bearer(OTHER)) == 401
    tell(gate, key(requests_per_second=5), limits=limits)
    assert outcome(gate, bearer(TOKEN)) == 200


@given(
    rate=st.floats(0.01, 1000),
    capacity=st.floats(0.1, 100),
    waits=st.lists(st.floats(0, 50), min_size=1, max_size=60),
)
def test_a_bucket_never_gives_more_than_it_says(
    rate: float, capacity: float, waits: list[float]
) -> None:
    bucket, now_s, times = Bucket(rate, capacity), 1000.0, []
    for wait in waits:
        now_s += wait
        if bucket.take(now_s) == 0.0:
            times.append(now_s)
    for first in range(len(times)):
        for last in range(first, len(times)):
            most = bucket.capacity + rate * (times[last] - times[first])
            assert last - first + 1 <= most + 1e-6


def test_a_clock_that_is_set_back_gives_nothing_for_it() -> None:
    bucket = Bucket(1.0, 2.0)
    assert [bucket.take(1000.0) for _ in range(2)] == [0.0, 0.0]
    assert bucket.take(500.0) > 0.0
    assert bucket.take(1000.0) > 0.0
    assert bucket.take(1001.0) == 0.0


@given(rate=st.floats(0.01, 1000), capacity=st.floats(0.1, 50))
def test_a_bucket_says_when_it_gives_again(rate: float, capacity: float) -> None:
    bucket, now_s = Bucket(rate, capacity), 5.0
    for _ in range(int(bucket.capacity)):
        assert bucket.take(now_s) == 0.0
    wait_s = bucket.take(now_s)
    assert 0.0 < wait_s <= 1.0 / rate
    assert bucket.take(now_s + wait_s / 2) > 0.0
    assert bucket.take(now_s + wait_s * (1 + 1e-9) + 1e-9) == 0.0


# The routes


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    folder = tmp_path_factory.mktemp("gate")
    write_tiny_bundle(folder / "artifacts" / "7")
    with artifact_server(folder / "artifacts") as url:
        store = ModelStore()
        ref = BundleRef(problem="titanic", version=7, url=f"{url}/7")
        store.apply(user_config(folder / "cache", titanic=ref))
    return store


@pytest.fixture(scope="module")
def logs() -> ReplicaLogs:
    return ReplicaLogs("gate")


def call(app: EndpointApp, method: str, path: str, token: str = "", **given: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def once() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://serving"
        ) as client:
            return await client.request(method, path, headers=headers, **given)

    return asyncio.run(once())


OPEN = {
    *("/healthz", "/readyz", "/docs", "/openapi.json", "/ping", "/health", "/version"),
    *("/v2", "/v2/health/live", "/v2/health/ready"),
}


def test_every_route_that_is_not_open_asks_for_a_key(store: ModelStore, logs: ReplicaLogs) -> None:
    app = EndpointApp(store, logs, gate_of(key()))
    for method, route in app.addresses:
        path = route.format(problem="titanic", version="7")
        status = call(app, method, path).status_code
        assert status == (200 if route in OPEN else 401), route
        # What is served is not told either.
        if "{problem}" in route:
            other = route.format(problem="nothing", version="7")
            assert call(app, method, other).status_code == 401
            assert call(app, method, other, TOKEN).status_code == 403
    assert call(app, "GET", "/nothing").status_code == 404
    assert call(app, "GET", "/predict/titanic").status_code == 405


def test_a_key_opens_what_it_is_for(store: ModelStore, logs: ReplicaLogs) -> None:
    app = EndpointApp(store, logs, gate_of(key(), key(OTHER, Scope.LABELS)))
    body = {"records": [RECORD]}
    assert call(app, "POST", "/predict/titanic", TOKEN, json=body).status_code == 200
    assert call(app, "POST", "/predict/titanic", OTHER, json=body).status_code == 403
    assert call(app, "POST", "/labels/titanic", TOKEN, json=body).status_code == 403
    assert call(app, "POST", "/labels/titanic", OTHER, json={}).status_code == 422
    for token in (TOKEN, OTHER, OWN_TOKEN):
        assert call(app, "GET", "/problems/titanic", token).status_code == 200


def test_nobody_who_is_refused_has_his_body_read(store: ModelStore, logs: ReplicaLogs) -> None:
    app = EndpointApp(store, logs, gate_of(key()))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was asked for")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict/titanic", "headers": []}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 401


def test_the_document_tells_of_keys_where_they_are_required(
    store: ModelStore, logs: ReplicaLogs
) -> None:
    app = EndpointApp(store, logs, gate_of(key()))
    document = call(app, "GET", "/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    assert schemes["header"]["name"] == "X-API-Key"
    for path, methods in document["paths"].items():
        for operation in methods.values():
            locked = path not in OPEN
            assert ("security" in operation) == locked
            assert ({"401", "403", "429"} <= set(operation["responses"])) == locked
    assert "Authorization: Bearer" in call(app, "GET", "/docs").text
    app = EndpointApp(store, logs, gate_of(required=False))
    document = call(app, "GET", "/openapi.json").text
    assert "security" not in document
    assert "Bearer" not in call(app, "GET", "/docs").text


def test_no_key_is_ever_logged(
    store: ModelStore, logs: ReplicaLogs, caplog: pytest.LogCaptureFixture
) -> None:
    app = EndpointApp(
        store, logs, gate_of(key(), limits=RateParams(requests_per_second=1, burst=1))
    )
    with caplog.at_level(logging.DEBUG):
        for token in (TOKEN, TOKEN, OTHER, OWN_TOKEN):
            for path in ("/predict/titanic", "/labels/titanic", "/predict/nothing"):
                text = call(app, "POST", path, token, json={"records": [RECORD]}).text
                assert token not in text
    for token in (TOKEN, OTHER, OWN_TOKEN):
        assert token[-64:] not in caplog.text


def test_use_is_noted_by_the_thread_and_at_the_end(tmp_path: Path) -> None:
    clock = Clock()
    gate = Gate(clock)
    access = admission(tmp_path, key(), key(OTHER), required=True)
    gate.apply({"access": access.model_dump(mode="json")})
    notes = KeyUse("r1", gate, every_s=60.0)
    assert outcome(gate, bearer(TOKEN)) == 200
    assert outcome(gate, bearer(OTHER), "orchard") == 403
    notes.close()
    assert read_use(tmp_path / "key-use") == {TOKEN[3:15]: clock.now_s}


def test_a_note_that_cannot_be_written_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "key-use").write_text("a file where the folder should be")
    gate = Gate()
    access = admission(tmp_path, key(), required=True)
    gate.apply({"access": access.model_dump(mode="json")})
    assert outcome(gate, bearer(TOKEN)) == 200
    KeyUse("r1", gate).close()
    assert "cannot be noted" in caplog.text
