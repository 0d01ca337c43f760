"""Ten days of car loans pass: on which day drift and loss are found, who hears of it, what follows.

Longer than `make test` gives: a model of 50,000 rows is trained twice.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
import yaml

from core.data.labels import BY_HTTP, LabelLog, labels_folder
from core.deployment.inference_log import InferenceLog, inference_folder
from tests.installation import DOWN_TIMEOUT_S, UP_TIMEOUT_S, Installation, prepare

pytestmark = pytest.mark.long

#: NannyML's data drifts from the middle on, which is the sixth of ten days.
FIRST_DRIFTED_DAY = 6
DAYS = 10
SIMULATION_TIMEOUT_S = 3600


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver of alerts on the loopback, and what it has been sent."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            received.append(json.loads(self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keeps the test's output clean."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/", received
    server.shutdown()
    server.server_close()


@contextmanager
def car_loans(folder: Path, alert_url: str) -> Iterator[Installation]:
    """An installation that knows car loans alone and tells its alerts."""
    made = prepare(folder)
    params = yaml.safe_load(made.settings.params_file.read_text(encoding="utf-8"))
    params |= {"problems": ["car_loan"], "bootstrap": []}
    params["rollout"]["slo"] = {}
    made.settings.params_file.write_text(yaml.safe_dump(params), encoding="utf-8")
    made = Installation(made.settings, {**made.environment, "PILOTHOUSE_ALERT_URL": alert_url})
    try:
        up = made.command("up", timeout_s=UP_TIMEOUT_S)
        assert up.returncode == 0, f"{up.stdout}\n{up.stderr}"
        yield made
    finally:
        down = made.command("down", timeout_s=DOWN_TIMEOUT_S)
        assert down.returncode == 0, f"{down.stdout}\n{down.stderr}"


@pytest.mark.timeout(SIMULATION_TIMEOUT_S + 900)
def test_ten_days_of_car_loans(tmp_path: Path) -> None:
    with webhook() as (url, received), car_loans(tmp_path, url) as installation:
        done = installation.command(
            "simulate",
            "car_loan",
            "--days",
            str(DAYS),
            "--here",
            "--json",
            timeout_s=SIMULATION_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        days = [entry["day"] for entry in json.loads(done.stdout)]
        levels = {day["day"]: day["check"]["level"] for day in days}
        alerts = installation.ask("alerts", "list", "car_loan")
        runs = installation.ask("runs", "list", "--problem", "car_loan")
        log = InferenceLog(inference_folder(installation.settings.home))
        # The log is a second behind.
        deadline = time.monotonic() + 60
        while log.window("car_loan").num_rows < sum(day["predicted"] for day in days):
            assert time.monotonic() < deadline
            time.sleep(1)
        labels = LabelLog(labels_folder(installation.settings.home)).labels("car_loan")
    assert all(day["predicted"] == day["batch"]["rows"] for day in days)
    by_request = [day["labels_by_request"] for day in days]
    assert by_request == [0, 0, *(day["batch"]["rows"] for day in days[:-2])]
    by_http = labels.filter(pc.equal(labels["by"], BY_HTTP))
    assert by_http.num_rows == sum(by_request)
    before, after = range(1, FIRST_DRIFTED_DAY), range(FIRST_DRIFTED_DAY, DAYS + 1)
    assert [levels[day] for day in before] == ["ok"] * len(before)
    assert levels[FIRST_DRIFTED_DAY] == "critical"
    assert {levels[day] for day in after} <= {"critical", "warning", "ok"}
    first_loss = next(
        day["day"] for day in days if any("estimated loss" in one for one in day["open_alerts"])
    )
    assert first_loss == FIRST_DRIFTED_DAY
    drift = [alert for alert in alerts if alert["kind"] == "drift"]
    assert len(drift) == 1
    assert drift[0]["status"] == "open", "labels of the days before do not end it"
    told = [message for message in received if drift[0]["id"] in json.dumps(message)]
    assert len(told) == 1, "one alert is told once"
    retrains = [run for run in runs if run["started_by"] == "retraining policy"]
    assert len(retrains) == 1
    assert retrains[0]["status"] == "finished"
    assert drift[0]["outcome"]
