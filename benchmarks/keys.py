"""One record asked for with and without a key, in the process of a replica and over HTTP."""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.report import Section, Target, Timing
from core.access.admission import Admission, AdmittedKey
from core.access.serving_key import Scope, digest_of, draw_id, draw_token
from core.adapters.serve import ServeClient
from core.deployment.endpoint import EndpointConfig
from core.deployment.serving import ServingService
from core.params import load_params
from core.params_rates import RateParams
from core.scoring.bundle import BundleRef
from core.settings import CODE_ROOT, Settings
from core.settings_apart import settings_apart
from serve.asgi import EndpointApp
from serve.gate import Gate
from serve.logs import ReplicaLogs
from serve.store import ModelStore
from tests.ray_head import free_ports, ray_head
from tests.serving_support import (
    RECORD,
    FixedKeys,
    admission,
    artifact_server,
    user_config,
    write_tiny_bundle,
)

MOST = 1.05
#: Keys that a replica holds beside the one that asks.
KEYS = 1000
#: So fast that nobody is refused.
FREE = RateParams(requests_per_second=1e6, burst=1_000_000)
#: Short rounds, so that a median leaves out those in which other work got in between.
_PROCESS_ROUNDS, _PROCESS_ANSWERS = 400, 25
_HTTP_ROUNDS, _HTTP_ANSWERS = 20, 200
_BODY = json.dumps({"records": [RECORD]}).encode()
_START_TIMEOUT_S = 90.0


def measure(repeat: int) -> Section:
    """Measures both in turns, ``repeat`` times as many; removes everything."""
    with tempfile.TemporaryDirectory(prefix="ph-bench-") as name:
        folder = Path(name)
        write_tiny_bundle(folder / "artifacts" / "1")
        with artifact_server(folder / "artifacts") as url:
            ref = BundleRef(problem="titanic", version=1, url=f"{url}/1")
            inside = asyncio.run(_in_process(folder, ref, _PROCESS_ROUNDS * repeat))
            outside = _over_http(folder, ref, _HTTP_ROUNDS * repeat)
    return judge(inside, outside)


def judge(
    inside: tuple[list[float], list[float]], outside: tuple[list[float], list[float]]
) -> Section:
    """Holds what was measured against the target; seconds of 1,000 answers, without and with."""
    held = f"{KEYS:,} keys held"
    timings = tuple(
        Timing(name, tuple(seconds), note)
        for name, seconds, note in (
            ("in the process, no key asked for", inside[0], "1,000 answers, CPU time of the loop"),
            ("in the process, with a key", inside[1], held),
            ("over HTTP, no key asked for", outside[0], "one client, one connection"),
            ("over HTTP, with a key", outside[1], held),
        )
    )
    free, keyed, http_free, http_keyed = (timing.median_s for timing in timings)
    return Section(
        "One record with a key",
        timings,
        (
            Target("with a key / without, in the process", keyed / free, MOST),
            Target("with a key / without, over HTTP", http_keyed / http_free, MOST),
        ),
    )


async def _in_process(folder: Path, ref: BundleRef, rounds: int) -> tuple[list[float], list[float]]:
    document = user_config(folder / "cache", titanic=ref)
    token = draw_token("bench")
    store, logs = ModelStore(), ReplicaLogs("bench")
    store.apply(document)
    logs.configure(EndpointConfig.model_validate(document))
    keys = (_key(token), *(_key(draw_token(draw_id())) for _ in range(KEYS)))
    apps = {
        "": _app(store, logs, admission(folder, limits=FREE)),
        token: _app(store, logs, admission(folder, *keys, required=True, limits=FREE)),
    }
    seconds: dict[str, list[float]] = {given: [] for given in apps}
    for given, app in apps.items():
        await _ask(app, given)  # warms up
    for round_ in range(rounds):
        # Neither is always the first of a pair.
        for given in sorted(apps, reverse=bool(round_ % 2)):
            taken = await _ask(apps[given], given)
            seconds[given].append(taken * 1000 / _PROCESS_ANSWERS)
    logs.close()
    return seconds[""], seconds[token]


def _key(token: str) -> AdmittedKey:
    return AdmittedKey(
        id=secrets.token_hex(6),
        problem="titanic",
        scopes=(Scope.PREDICT,),
        sha256=digest_of(token),
        expires_at=None,
        requests_per_second=None,
    )


def _app(store: ModelStore, logs: ReplicaLogs, access: Admission) -> EndpointApp:
    gate = Gate()
    gate.apply({"access": access.model_dump(mode="json")})
    return EndpointApp(store, logs, gate)


async def _ask(app: EndpointApp, token: str) -> float:
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"connection", b"keep-alive"),
        (b"user-agent", b"python-httpx/0.28.1"),
        (b"content-length", str(len(_BODY)).encode()),
        (b"content-type", b"application/json"),
    ]
    if token:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": _BODY, "more_body": False}

    async def send(message: Any) -> None:
        if "status" in message:
            statuses.append(message["status"])

    scope = {"type": "http", "method": "POST", "path": "/predict/titanic", "headers": headers}
    # Of this thread's own time, so that what else the machine does counts for neither.
    started = time.thread_time()
    for _ in range(_PROCESS_ANSWERS):
        await app(scope, receive, send)
    seconds = time.thread_time() - started
    if set(statuses) != {200}:
        raise RuntimeError(f"not every answer was 200: {set(statuses)}")
    return seconds


def _over_http(folder: Path, ref: BundleRef, rounds: int) -> tuple[list[float], list[float]]:
    """One replica, told in turns to ask for a key and not to."""
    seconds: tuple[list[float], list[float]] = ([], [])
    with (
        _served(folder, ref) as (services, url, token),
        httpx.Client(base_url=url, trust_env=False, timeout=20) as client,
    ):
        for round_ in range(rounds + 1):
            for required, service in enumerate(services):
                service.hand_out_keys()
                _wait(client, 401 if required else 200)
                taken = _post(client, token if required else "")
                if round_:  # the first one warms up
                    seconds[required].append(taken * 1000 / _HTTP_ANSWERS)
    return seconds


@contextmanager
def _served(folder: Path, ref: BundleRef) -> Iterator[tuple[list[ServingService], str, str]]:
    """One installation with keys off and the same with keys on, its address and a key."""
    (port,) = free_ports(1)
    params = load_params(CODE_ROOT / "params.yaml").serving
    params = params.model_copy(update={"max_replicas": 1})
    settings = settings_apart(Settings(), folder / "home", serving_port=port)
    token = draw_token("bench")
    keys = (_key(token), *(_key(draw_token(draw_id())) for _ in range(KEYS)))
    with ray_head() as head:
        client = ServeClient(head.dashboard, head.token_file)
        services = [
            ServingService(settings, params, client, ["titanic"], FixedKeys(access))
            for access in (
                admission(folder, limits=FREE),
                admission(folder, *keys, required=True, limits=FREE),
            )
        ]
        services[0].deploy({"titanic": ref})
        services[0].wait_until_serving("titanic", ref.version, _START_TIMEOUT_S)
        yield services, settings.serving_url, token
        services[0].shutdown()


def _wait(client: httpx.Client, status: int) -> None:
    """Returns once who has no key is answered with ``status``."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while client.post("/predict/titanic", content=_BODY).status_code != status:
        if time.monotonic() > deadline:
            raise RuntimeError(f"no answer with status {status}")
        time.sleep(0.05)


def _post(client: httpx.Client, token: str) -> float:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    started = time.perf_counter()
    for _ in range(_HTTP_ANSWERS):
        client.post("/predict/titanic", content=_BODY, headers=headers).raise_for_status()
    return time.perf_counter() - started
