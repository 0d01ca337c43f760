"""The Experiments page with 1,000 runs in the store, beside MLflow's own search for them."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.machine import prepare_launch, run_module
from benchmarks.page_store import CANDIDATES, fill
from benchmarks.report import Section, Target, Timing
from core.services.environment import Launch, service_environment
from core.services.programs import mlflow
from core.settings import CODE_ROOT, inherited_environment, silence_vendors

RUNS = 1000
LIMIT_S = 1.0
_POLL_S = 0.2


def measure(repeat: int) -> Section:
    """Fills a store of its own, measures, and removes everything."""
    silence_vendors()
    with tempfile.TemporaryDirectory(prefix="ph-bench-") as folder:
        launch = prepare_launch(Path(folder))
        with _server(launch):
            fill(launch.settings, RUNS)
            times = json.loads(
                run_module(launch, "benchmarks.page_process", [str(RUNS), str(repeat)])
            )
    peer, cold, table, first, second = (
        Timing(name, tuple(times[key]), note)
        for key, name, note in (
            ("peer", "MLflow's `runs/search` over HTTP", "the answer parsed, nothing else"),
            ("cold", "`experiments.table`, after the start", "everything is read, once"),
            ("table", "`experiments.table`, from then on", "what has changed is read"),
            ("first", "the page, opened", "Streamlit's test runner: all but the browser"),
            ("second", "the page, drawn again", "as after a click"),
        )
    )
    return Section(
        f"Experiments page with {RUNS:,} runs of {CANDIDATES} candidates each",
        (peer, cold, table, first, second),
        (
            Target("seconds to open the page", first.median_s, LIMIT_S),
            Target("seconds to draw it again", second.median_s, LIMIT_S),
        ),
    )


@contextmanager
def _server(launch: Launch) -> Iterator[None]:
    with launch.layout.log_of("mlflow").open("ab") as log:
        server = subprocess.Popen(
            mlflow(launch).argv,
            env=service_environment(launch, inherited_environment()),
            cwd=CODE_ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + launch.settings.start_timeout_s
        while not _answers(launch.settings.mlflow_url):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("MLflow does not start")
            time.sleep(_POLL_S)
        yield
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False
