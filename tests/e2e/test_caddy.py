"""The example of a proxy in front: `deploy/caddy/Caddyfile` before a real installation.

Needs Caddy, which Debian has: `apt install caddy`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from core.settings import CODE_ROOT
from tests.installation import Installation
from tests.ray_head import free_ports

pytestmark = pytest.mark.long
CADDYFILE = CODE_ROOT / "deploy" / "caddy" / "Caddyfile"
START_TIMEOUT_S = 20.0
#: Caddy signs by itself, and leaves the machine's store of certificates alone.
AROUND = """\
{{
	admin off
	local_certs
	skip_install_trust
	http_port {http}
	https_port {https}
	storage file_system {folder}
}}
import {example}
"""


@pytest.fixture(scope="module")
def caddy() -> str:
    found = shutil.which("caddy")
    if found is None:
        pytest.fail("no Caddy on this machine; `apt install caddy` brings one")
    return found


@dataclass(frozen=True)
class Front:
    """Where the two are found behind Caddy; both names mean this machine."""

    panel: str
    models: str
    plain: str


@pytest.fixture(scope="module")
def front(
    caddy: str, installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("caddy")
    http, https = free_ports(2)
    file = folder / "Caddyfile"
    file.write_text(AROUND.format(http=http, https=https, folder=folder, example=CADDYFILE))
    names = {"PANEL_NAME": "localhost", "MODELS_NAME": "127.0.0.1", "HOME": str(folder)}
    command = [caddy, "run", "--config", str(file), "--adapter", "caddyfile"]
    log_file = folder / "log"
    with log_file.open("wb") as log:
        running = subprocess.Popen(
            command, env={**os.environ, **installation.environment, **names}, stderr=log
        )
    try:
        found = Front(
            f"https://localhost:{https}", f"https://127.0.0.1:{https}", f"http://localhost:{http}"
        )
        wait_until_up(found, running, log_file)
        yield found
    finally:
        running.terminate()
        running.wait()


def wait_until_up(front: Front, caddy: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            for url in (front.panel, front.models):
                httpx.get(url, verify=False, trust_env=False)
            return
        except httpx.HTTPError:
            assert caddy.poll() is None, log_file.read_text()
            assert time.monotonic() < deadline, log_file.read_text()
            time.sleep(0.2)


def test_the_example_is_valid_as_it_is(caddy: str, tmp_path: Path) -> None:
    command = [caddy, "validate", "--config", str(CADDYFILE), "--adapter", "caddyfile"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr


def test_callers_reach_the_models_and_nothing_of_their_insides(front: Front) -> None:
    with httpx.Client(base_url=front.models, verify=False, trust_env=False) as client:
        assert client.get("/readyz").status_code == 200
        assert client.get("/problems/titanic").json()["version"] >= 1
        for inside in ("/metrics", "/-/routes", "/-/healthz"):
            assert client.get(inside).status_code == 404
        headers = client.get("/docs").headers
        assert headers["strict-transport-security"] == "max-age=31536000"
        assert "server" not in headers
    moved = httpx.get(front.plain, trust_env=False)
    assert moved.status_code == 308
    assert moved.headers["location"].startswith("https://localhost")


@pytest.mark.timeout(120)
def test_the_panel_works_through_its_websocket(front: Front, browser: Browser) -> None:
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(front.panel)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible(timeout=60_000)
    assert sockets
    assert all(url.startswith(front.panel.replace("https:", "wss:")) for url in sockets)
    context.close()
