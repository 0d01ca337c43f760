"""What of a whole installation other machines can reach."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core.services.certificate import own_clients
from core.services.layout import layout_of
from tests.certificates import issue
from tests.installation import UP_TIMEOUT_S, Installation, prepare
from tests.listeners import Listener, listeners

EVERYWHERE = "0.0.0.0"


def test_an_installation_on_the_loopback_listens_nowhere_else(installation: Installation) -> None:
    found = listeners(layout_of(installation.settings.home))
    settings = installation.settings
    published = {settings.panel_port, settings.serving_port, settings.mlflow_port}
    assert {one.port for one in found} > published
    assert [one for one in found if not one.is_local] == []


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation for the whole network, ready to be started."""
    shown = issue(tmp_path_factory.mktemp("issued"))
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as folder:
        made = prepare(Path(folder), host=EVERYWHERE, **shown.settings)
        yield made
        assert made.command("down").returncode == 0


@pytest.mark.long
@pytest.mark.timeout(2 * UP_TIMEOUT_S)
def test_only_panel_and_models_are_open_and_only_where_people_sign_in(
    exposed: Installation,
) -> None:
    refused = exposed.command("up")
    assert refused.returncode != 0
    assert "Nobody has to sign in" in refused.stdout + refused.stderr
    assert listeners(layout_of(exposed.settings.home)) == []

    assert exposed.command("users", "add", "anna", "--role", "admin").returncode == 0
    up = exposed.command("up", timeout_s=UP_TIMEOUT_S)
    assert up.returncode == 0, up.stdout + up.stderr

    settings = exposed.settings
    found = {one for one in listeners(layout_of(settings.home)) if not one.is_local}
    published = (settings.panel_port, settings.serving_port)
    assert found == {Listener(EVERYWHERE, port) for port in published}
    with httpx.Client(verify=own_clients(settings), trust_env=False) as client:
        assert client.get(f"{settings.panel_url}/_stcore/health").status_code == 200
        assert client.get(f"{settings.serving_url}/readyz").status_code == 200
