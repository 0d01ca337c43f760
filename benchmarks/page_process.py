"""Measures the Experiments page in a process that is one panel; prints its times as JSON.

Streamlit's own test runner draws the page: everything but the way to the browser.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from streamlit.components.v2 import manifest_scanner
from streamlit.components.v2.manifest_scanner import ComponentManifest
from streamlit.testing.v1 import AppTest

from app.components import installation
from benchmarks.page_store import PROBLEM
from core.adapters.mlflow import KIND, KIND_RUN, connected_client
from core.settings import CODE_ROOT, Settings, load_settings

TIMEOUT_S = 120


def main() -> int:
    """Measures ``repeat`` times and prints the times in seconds by name."""
    runs, repeat = int(sys.argv[1]), int(sys.argv[2])
    settings = load_settings()
    # Streamlit searches all installed packages for components when a server starts; the
    # test runner is a new server each time.
    manifest_scanner.scan_component_manifests = _no_components
    core = installation.pilothouse()
    # The first question pays for imports, connections and the server's own caches.
    _ask_mlflow(settings, runs)
    times: dict[str, list[float]] = {"peer": [], "table": [], "first": [], "second": []}
    times["cold"] = [_timed(lambda: core.experiments.table(PROBLEM, limit=runs))]
    # Streamlit and the page's modules are imported by the first page of a process.
    _open_page(runs).run()
    for _ in range(repeat):
        times["peer"].append(_timed(lambda: _ask_mlflow(settings, runs)))
        times["table"].append(_timed(lambda: core.experiments.table(PROBLEM, limit=runs)))
        page = _open_page(runs)
        times["first"].append(_timed(page.run))
        _check(page, runs)
        times["second"].append(_timed(page.run))
        _check(page, runs)
    sys.stdout.write(json.dumps(times))
    return 0


def _no_components(max_workers: int | None = None) -> list[tuple[ComponentManifest, Path]]:
    return []


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _ask_mlflow(settings: Settings, runs: int) -> None:
    """MLflow's own search, as its client sends it, with the answer parsed."""
    client = connected_client(settings.mlflow_url)
    experiment = client.get_experiment_by_name(PROBLEM)
    body = {
        "experiment_ids": [experiment.experiment_id],
        "filter": f"tags.`{KIND}` = '{KIND_RUN}'",
        "max_results": runs,
        "order_by": ["attributes.start_time DESC"],
    }
    url = f"{settings.mlflow_url}/api/2.0/mlflow/runs/search"
    answer = httpx.post(url, json=body, timeout=TIMEOUT_S, trust_env=False)
    if len(answer.raise_for_status().json()["runs"]) != runs:
        raise AssertionError("MLflow's search is not complete")


def _open_page(runs: int) -> AppTest:
    page = AppTest.from_file(str(CODE_ROOT / "app" / "main.py"), default_timeout=TIMEOUT_S)
    page.switch_page("views/experiments.py")
    page.session_state["limit"] = runs
    return page


def _check(page: AppTest, runs: int) -> None:
    if page.exception or len(page.dataframe[0].value) != runs:
        raise AssertionError("the page does not show every run")


if __name__ == "__main__":
    sys.exit(main())
