"""Secrets were planted before the installation was brought up: all that it wrote is searched.

It comes late in the session, so that runs, checks, failures and restarts lie behind it.
"""

from __future__ import annotations

import httpx
import psutil

from core.adapters.ray_token import TokenFromFile
from core.services.layout import layout_of
from core.services.processes import tagged_processes
from core.settings import Settings
from tests.installation import Installation
from tests.planted import KEPT_IN, kept_openly

#: Commands that succeed, are refused, and fail.
COMMANDS = (
    ("alerts", "test"),
    ("status", "--json"),
    ("run", "nothing"),
    ("run", "orchard", "--profile", "1c-1g", "--set", "spark.run_timeout_s=1", "--wait"),
    ("runs", "list"),
    ("batch", "add", "orchard", "nowhere.csv"),
    ("promote", "approve", "nothing", "--reason", "because it is better"),
    ("alerts", "list", "--json"),
    ("serve", "status", "--json"),
    ("audit", "verify"),
    ("audit", "export"),
)
#: What has a secret in its environment, by a part of its command line.
NEEDING = ("supervisord", "core.worker", "app/server.py")
DASHBOARD = (
    "/api/jobs/",
    "/api/v0/actors?detail=1",
    "/api/v0/jobs?detail=1",
    "/api/v0/nodes?detail=1",
    "/api/v0/runtime_envs?detail=1",
    "/api/v0/tasks?detail=1",
    "/api/v0/workers?detail=1",
    "/api/serve/applications/",
    "/nodes?view=summary",
)


def _answers(settings: Settings) -> dict[str, str]:
    """What every published address says that might know of the environment of a service."""
    ray = [f"{settings.ray_dashboard_url}{path}" for path in DASHBOARD]
    others = [settings.panel_url, f"{settings.mlflow_url}/version"]
    others += [f"{settings.serving_url}/{path}" for path in ("readyz", "metrics")]
    token = TokenFromFile(settings.ray_token_file)
    with httpx.Client(trust_env=False, timeout=30) as client:
        answers = {address: client.get(address, auth=token) for address in ray}
        answers |= {address: client.get(address) for address in others}
    assert {address for address, answer in answers.items() if not answer.is_success} == set()
    return {address: answer.text for address, answer in answers.items()}


def _who_sees(installation: Installation) -> tuple[set[str], set[str]]:
    """Command lines of processes with a secret in their environment, and those that show one."""
    seeing, showing = set(), set()
    for process in tagged_processes(layout_of(installation.settings.home)):
        try:
            line, environment = " ".join(process.cmdline()), process.environ()
            above = " ".join(" ".join(one.cmdline()) for one in process.parents())
        except psutil.Error:
            continue
        if installation.planted.in_text(line):
            showing.add(line)
        if installation.planted.in_text(str(environment)) and "core.worker" not in above:
            seeing.add(line)
    return seeing, showing


def test_no_secret_is_in_anything_that_the_installation_writes_or_says(
    installation: Installation,
) -> None:
    planted, settings = installation.planted, installation.settings
    said = ""
    for arguments in COMMANDS:
        done = installation.command(*arguments)
        said += done.stdout + done.stderr
    assert "did not take the message" in said
    assert planted.in_text(said) == []

    found = {address: planted.in_text(text) for address, text in _answers(settings).items()}
    assert {address: texts for address, texts in found.items() if texts} == {}

    seeing, showing = _who_sees(installation)
    assert showing == set()
    # The worker sends alerts, the panel asks the provider of logins.
    assert len(seeing) == len(NEEDING)
    assert {name for name in NEEDING for line in seeing if name in line} == set(NEEDING)

    layout = layout_of(settings.home)
    assert planted.below(settings.home, layout.runtime) == {}
    assert kept_openly(settings.home) == []
    made = [settings.home / KEPT_IN / name for name in ("ray.token", "serving.key")]
    kept = planted.with_texts(*(file.read_text(encoding="ascii").strip() for file in made))
    assert set(kept.below(settings.home, layout.runtime)) == {str(file) for file in made}
    assert {texts for text in _answers(settings).values() for texts in kept.in_text(text)} == set()
