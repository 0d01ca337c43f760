"""What the documentation shows and ``scripts/try_api.py``, run against an endpoint over TCP."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
import uvicorn
from typer.testing import CliRunner

from core.access.admission import AdmittedKey
from core.access.serving_key import Scope, digest_of
from core.settings import CODE_ROOT
from serve.gate import Gate
from tests.serving_support import admission
from tests.unit.protocols import PROBLEMS, Endpoint, endpoint

#: Where the examples ask, and with which key.
SHOWN = "http://127.0.0.1:8000"
SHOWN_KEY = "ph_…"
WAIT_S = 30.0
TOKENS = {name: f"ph_{number:012x}_{number:064x}" for number, name in enumerate(PROBLEMS, start=1)}
PASSENGER = {"Pclass": 3, "Sex": "male", "Age": 22.0, "SibSp": 1, "Parch": 0, "Fare": 7.25}


@contextmanager
def listening(end: Endpoint) -> Iterator[str]:
    """Serves an endpoint with uvicorn; yields its address."""
    server = uvicorn.Server(uvicorn.Config(end.app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + WAIT_S
    while not server.started:
        assert time.monotonic() < deadline, "uvicorn did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(WAIT_S)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Endpoint, str]]:
    """An endpoint of both problems that asks for keys, and its address."""
    home = tmp_path_factory.mktemp("examples")
    keys = [
        AdmittedKey(
            id=token[3:15],
            problem=name,
            scopes=(Scope.PREDICT,),
            sha256=digest_of(token),
            expires_at=None,
            requests_per_second=None,
        )
        for name, token in TOKENS.items()
    ]
    gate = Gate()
    gate.apply({"access": admission(home, *keys, required=True).model_dump(mode="json")})
    with endpoint(home, gate=gate) as end, listening(end) as url:
        yield end, url


def example(language: str, url: str) -> str:
    """The one example in a language that the page of HTTP has, for the endpoint of this test."""
    page = (CODE_ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)
    assert 4 < len(found.splitlines()) <= 12
    assert SHOWN in found
    assert SHOWN_KEY in found
    return str(found.replace(SHOWN, url).replace(SHOWN_KEY, TOKENS["titanic"]))


def output_of(*command: str) -> str:
    # No proxy of this machine stands between an example and the endpoint.
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=WAIT_S * 2, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def expected(end: Endpoint) -> Any:
    response = end.call(
        "POST",
        "/predict/titanic",
        json={"records": [PASSENGER]},
        headers={"X-API-Key": TOKENS["titanic"]},
    )
    return response.json()["predictions"][0]


def test_the_example_in_python(serving: tuple[Endpoint, str]) -> None:
    end, url = serving
    label, probability = output_of(sys.executable, "-c", example("python", url)).split()
    assert (int(label), float(probability)) == (
        expected(end)["label"],
        round(expected(end)["probability"], 3),
    )


def test_the_example_in_curl(serving: tuple[Endpoint, str]) -> None:
    end, url = serving
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    assert json.loads(output_of("sh", "-c", example("sh", url)))["predictions"] == [expected(end)]


def test_the_example_in_javascript(serving: tuple[Endpoint, str], tmp_path: Path) -> None:
    end, url = serving
    if shutil.which("node") is None:
        pytest.skip("there is no Node.js on this machine")
    (tmp_path / "example.mjs").write_text(example("js", url), encoding="utf-8")
    label, probability = output_of("node", str(tmp_path / "example.mjs")).split()
    assert int(label) == expected(end)["label"]
    assert float(probability) == pytest.approx(expected(end)["probability"], abs=0.00051)


def try_api(*arguments: str) -> Any:
    path = CODE_ROOT / "scripts" / "try_api.py"
    spec = importlib.util.spec_from_file_location("try_api", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["try_api"] = module
    spec.loader.exec_module(module)
    app = typer.Typer()
    app.command()(module.main)
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_rows_of_the_test_set_are_sent_and_counted(
    serving: tuple[Endpoint, str], problem: str
) -> None:
    _, url = serving
    given = ("--problem", problem, "--rows", "12", "--url", url, "--key", TOKENS[problem])
    done = try_api(*given)
    assert done.exit_code == 0, done.output
    right = done.output.count("right")
    assert right + done.output.count("wrong") == 12
    assert f"accuracy {right / 12:.3f} ({right} of 12 rows)" in done.output
    assert re.search(r"latency p50 \d+\.\d ms, p95 \d+\.\d ms", done.output)
    assert try_api(*given).output.count("right") == right


def test_what_goes_wrong_is_one_sentence(serving: tuple[Endpoint, str]) -> None:
    _, url = serving
    for given, said in (
        (("--problem", "titanic", "--url", "http://127.0.0.1:9"), "Nobody answers"),
        (("--problem", "nothing", "--url", url), "nothing"),
        (("--problem", "titanic", "--url", url), "The endpoint says 401"),
    ):
        done = try_api(*given)
        assert done.exit_code == 1
        assert said in done.output
        assert "Traceback" not in done.output
