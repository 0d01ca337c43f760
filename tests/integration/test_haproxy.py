"""What Ray's HAProxy repeats, on the configuration that Ray writes and our launcher changes."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
import pytest

from core.hosts import EVERYWHERE
from core.services.certificate import own_clients
from core.services.haproxy import Door, offer_certificate, write_launcher
from core.settings import Settings
from tests.certificates import issue, spoken
from tests.ray_head import free_ports

START_TIMEOUT_S = 10.0
#: What Ray's proxy actor does, with the values that the environment gives it.
WRITE_CONFIG = """
import pathlib, sys
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions
config = pathlib.Path(sys.argv[1])
front, metrics, stats, *replicas = map(int, sys.argv[2:])
# Ray Serve names no application where it has told the proxy of none.
is_told = replicas != []
settings = HAProxyConfig(
    socket_path=str(config.parent / "admin.sock"),
    enable_hap_optimization=False,
    metrics_enabled=False,
    metrics_port=metrics,
    stats_port=stats,
    http_options=HTTPOptions(host="127.0.0.1", port=front),
    retry_on="conn-failure empty-response response-timeout",
    retries=3,
)
servers = [ServerConfig(f"replica{i}", "127.0.0.1", port) for i, port in enumerate(replicas)]
backend = BackendConfig(name="app", path_prefix="/", app_name="app", servers=servers)
backends = {"app": backend} if is_told else {}
HAProxyApi(settings, backends, str(config))._generate_config_file_internal()
"""


class Replica(socketserver.ThreadingTCPServer):
    """Answers health checks; ``dies`` over everything else, once it has read it."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, seen: Counter[str], *, dies: bool) -> None:
        self.seen, self.dies = seen, dies
        #: What the last request came with as its id.
        self.request_id = b""
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = cast(Replica, self.server)
        line = self.rfile.readline().decode()
        if not line:
            return
        length = 0
        while (header := self.rfile.readline().strip().lower()) != b"":
            if header.startswith(b"content-length:"):
                length = int(header.partition(b":")[2])
            if header.startswith(b"x-request-id:"):
                server.request_id = header.partition(b":")[2].strip()
        self.rfile.read(length)
        path = line.split()[1]
        if not path.startswith("/-/"):
            server.seen[" ".join(line.split()[:2])] += 1
            if server.dies:
                return
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


@contextmanager
def running(server: Replica) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def proxy(
    folder: Path,
    replicas: list[int],
    host: str = "127.0.0.1",
    pem: Path | None = None,
    own_ports: Sequence[int] = (),
) -> Iterator[str]:
    """A proxy that was told of ``replicas``; in the folder of another one it comes after that."""
    front, metrics, stats = own_ports or free_ports(3)
    folder.mkdir(exist_ok=True)
    config, launcher = folder / "haproxy.cfg", folder / "haproxy"
    ports = [str(port) for port in (front, metrics, stats, *replicas)]
    # In a process of its own: importing Ray Serve warns, and warnings are errors here.
    subprocess.run([sys.executable, "-c", WRITE_CONFIG, config, *ports], check=True)
    write_launcher(launcher, Door(host, front, pem), metrics, stats, folder)
    with subprocess.Popen(
        [launcher, "-db", "-f", config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as haproxy:
        try:
            wait_until_open(front, haproxy)
            yield f"{'https' if pem else 'http'}://127.0.0.1:{front}"
        finally:
            haproxy.kill()


def wait_until_open(port: int, haproxy: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert haproxy.poll() is None, haproxy.stdout and haproxy.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


@dataclass(frozen=True)
class Stage:
    """Two replicas that die over each request, and a proxy before them."""

    url: str
    seen: Counter[str]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    seen: Counter[str] = Counter()
    with ExitStack() as stack:
        ports = [stack.enter_context(running(Replica(seen, dies=True))) for _ in range(2)]
        url = stack.enter_context(proxy(tmp_path_factory.mktemp("haproxy") / "a", ports))
        yield Stage(url, seen)


@pytest.mark.parametrize(
    ("method", "path", "times"),
    [
        ("POST", "/predict/titanic", 4),
        ("POST", "/invocations/titanic", 4),
        ("POST", "/v2/models/titanic/infer", 4),
        ("POST", "/labels/titanic", 1),
        ("POST", "/anything", 1),
        ("GET", "/problems/titanic", 4),
    ],
)
def test_only_predictions_and_looks_are_repeated(
    stage: Stage, method: str, path: str, times: int
) -> None:
    # Over and over: httpx sends headers and body apart, so that HAProxy may see the one
    # without the other.
    with httpx.Client(base_url=stage.url, trust_env=False) as client:
        for _ in range(10):
            stage.seen.clear()
            content = b"{}" if method == "POST" else None
            assert client.request(method, path, content=content).status_code >= 500
            assert stage.seen == {f"{method} {path}": times}


def test_labels_still_go_elsewhere_when_a_replica_takes_no_connection(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    with ExitStack() as stack:
        alive = stack.enter_context(running(Replica(seen, dies=False)))
        url = stack.enter_context(proxy(tmp_path / "a", [*free_ports(1), alive]))
        client = stack.enter_context(httpx.Client(base_url=url, trust_env=False))
        answers = [client.post("/labels/titanic", content=b"{}") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200] * 4
        assert seen == {"POST /labels/titanic": 4}


def test_a_proxy_that_knows_nothing_yet_says_so(tmp_path: Path) -> None:
    with proxy(tmp_path / "a", []) as url:
        is_unavailable(httpx.get(f"{url}/readyz", trust_env=False))


def test_a_proxy_without_a_replica_that_answers_says_so(tmp_path: Path) -> None:
    with proxy(tmp_path / "a", free_ports(1)) as url:
        is_unavailable(httpx.get(f"{url}/readyz", trust_env=False))


def test_the_next_proxy_begins_with_the_replicas_that_the_one_before_knew(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with running(Replica(Counter(), dies=False)) as alive:
        own_ports = free_ports(3)
        with proxy(folder, [alive], own_ports=own_ports) as url:
            assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
        with proxy(folder, [], own_ports=own_ports) as url:
            assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 200


def test_what_a_system_has_cleared_away_comes_back_with_the_next_proxy(tmp_path: Path) -> None:
    folder, own_ports = tmp_path / "a", free_ports(3)
    with proxy(folder, [], own_ports=own_ports) as url:
        is_unavailable(httpx.get(f"{url}/readyz", trust_env=False))
    cleared = [folder / file.name for file in (folder / "haproxy-files").iterdir()]
    assert {"rules.cfg", "503.http"} <= {file.name for file in cleared}
    for file in cleared:
        file.unlink()
    restart = [folder / "haproxy", "-c", "-f", folder / "haproxy.cfg"]
    subprocess.run(restart, check=True, capture_output=True)
    assert [file.name for file in cleared if not file.is_file()] == []


def is_unavailable(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["code"] == "unavailable"


def test_with_a_certificate_only_tls_is_spoken_and_only_a_modern_one(tmp_path: Path) -> None:
    shown, pem = issue(tmp_path / "issued"), tmp_path / "a" / "tls.pem"
    pem.parent.mkdir()
    offer_certificate(pem.with_name("haproxy"), pem.name, shown.cert_file, shown.key_file)
    with ExitStack() as stack:
        alive = stack.enter_context(running(Replica(Counter(), dies=False)))
        url = stack.enter_context(proxy(tmp_path / "a", [alive], EVERYWHERE, pem))
        verify = own_clients(Settings(**shown.settings))
        client = stack.enter_context(httpx.Client(verify=verify, trust_env=False))
        assert client.post(f"{url}/predict/titanic", content=b"{}").status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(url.replace("https:", "http:"))
        port = int(url.rpartition(":")[2])
        assert spoken(port, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
        assert spoken(port, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            spoken(port, ssl.TLSVersion.TLSv1_1)


def test_what_no_replica_could_answer_in_our_shape_is_refused_by_the_proxy(stage: Stage) -> None:
    asked = {
        b"BREW /predict/titanic": (405, "method_not_allowed"),
        b"OPTIONS *": (404, "not_found"),
        b"CONNECT x:80": (404, "not_found"),
    }
    port = int(stage.url.rpartition(":")[2])
    for line, told in asked.items():
        stage.seen.clear()
        with socket.create_connection(("127.0.0.1", port), START_TIMEOUT_S) as caller:
            caller.sendall(line + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            with caller.makefile("rb") as answer:
                head, _, body = answer.read().partition(b"\r\n\r\n")
        assert (int(head.split()[1]), json.loads(body)["error"]["code"]) == told
        assert b"content-type: application/json" in head.lower()
        assert not stage.seen


@pytest.mark.parametrize(
    ("given", "is_kept"), [(b"order-17", True), (b"", False), (b"\xff\xfe", False), (b"a b", False)]
)
def test_a_replica_gets_an_id_that_it_can_read(tmp_path: Path, given: bytes, is_kept: bool) -> None:
    seen: Counter[str] = Counter()
    replica = Replica(seen, dies=False)
    with running(replica) as port, proxy(tmp_path / "proxy", [port]) as url:
        front = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", front), START_TIMEOUT_S) as caller:
            own = b"X-Request-Id: " + given + b"\r\n" if given else b""
            caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + own + b"\r\n")
            assert b" 200 " in caller.recv(100)
    if is_kept:
        assert replica.request_id == given
    else:
        assert uuid.UUID(replica.request_id.decode())
