"""Real Ray, MLflow and Supervisor: up, blows, up again, down.

The panel and the worker are left out: what is tested is how programs are kept, and these
two bring the rest of the product with them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import psutil
import pytest

from core.adapters.supervisor import SupervisorDaemon
from core.domain_serving import Health
from core.errors import PortTakenError, SetupError
from core.services.environment import Launch
from core.services.health import HealthService, HttpProbe
from core.services.layout import Layout, layout_of
from core.services.manager import Outcome, ServiceManager
from core.services.processes import end_tagged, tagged_processes
from core.services.programs import Program, mlflow, panel, ray
from core.settings import Settings, inherited_environment
from tests.certificates import issue, spoken
from tests.listeners import Listener, listeners
from tests.ray_head import free_ports

pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]


def settings_for(home: Path, **changes: str) -> Settings:
    panel, serving, tracking, dashboard = free_ports(4)
    return Settings(
        home=home,
        panel_port=panel,
        serving_port=serving,
        mlflow_port=tracking,
        ray_dashboard_port=dashboard,
        **changes,
    )


class Installation:
    """One installation that runs only part of the programs."""

    def __init__(self, home: Path, *programs: str, **settings: str) -> None:
        self.settings = settings_for(home, **settings)
        self.layout: Layout = layout_of(home)
        self.supervisor = SupervisorDaemon(self.layout.supervisor_socket)
        self._programs = programs

    def table(self, launch: Launch) -> Sequence[Program]:
        known = {
            "ray": ray,
            "mlflow": mlflow,
            "panel": panel,
            "sleeper": lambda launch: Program(
                "sleeper", ("sleep", "600"), HttpProbe("", ()), ready_after_s=0
            ),
            "quitter": lambda launch: Program("quitter", ("false",), HttpProbe("", ("http://x",))),
        }
        return [known[name](launch) for name in self._programs]

    @property
    def manager(self) -> ServiceManager:
        return ServiceManager(
            self.settings, self.layout, self.supervisor, inherited_environment(), self.table
        )

    def up(self) -> Outcome:
        return self.manager.up(lambda sentence: None, lambda rows: None)

    def processes(self, name: str) -> list[psutil.Process]:
        return [p for p in tagged_processes(self.layout) if p.name() == name]

    def healthy(self) -> set[str]:
        health = HealthService(self.settings)
        try:
            return {one.name for one in health.check() if one.health is Health.HEALTHY}
        finally:
            health.close()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    clean(layout_of(tmp_path))


def clean(layout: Layout) -> None:
    end_tagged(layout)
    shutil.rmtree(layout.runtime, ignore_errors=True)


def supervisor_pid(installation: Installation) -> int:
    return int(installation.layout.supervisor_pid.read_text())


@pytest.mark.long
def test_ray_and_mlflow_come_back_after_every_blow(home):
    # Neither is to be seen elsewhere, whatever the panel and the served models bind.
    installation = Installation(home, "ray", "mlflow", host="0.0.0.0")

    assert installation.up() is Outcome.STARTED
    assert installation.healthy() == {"ray", "mlflow"}
    found = listeners(installation.layout)
    assert installation.settings.mlflow_port in {one.port for one in found}
    assert [one for one in found if not one.is_local] == []
    assert installation.up() is Outcome.ALREADY_UP

    os.kill(installation.processes("gcs_server")[0].pid, signal.SIGKILL)
    assert installation.up() is Outcome.REPAIRED
    assert installation.healthy() == {"ray", "mlflow"}

    os.kill(supervisor_pid(installation), signal.SIGKILL)
    assert installation.up() is Outcome.STARTED
    assert installation.healthy() == {"ray", "mlflow"}

    assert installation.manager.down() > 0
    assert tagged_processes(installation.layout) == ()
    assert installation.healthy() == set()
    assert installation.manager.down() == 0


def test_the_panel_speaks_tls_only_and_binds_where_it_is_told(home, tmp_path):
    shown = issue(tmp_path / "issued")
    installation = Installation(home, "panel", host="0.0.0.0", **shown.settings)
    port = installation.settings.panel_port

    assert installation.up() is Outcome.STARTED
    assert installation.healthy() == {"panel"}
    assert set(listeners(installation.layout)) == {Listener("0.0.0.0", port)}
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{port}/_stcore/health", trust_env=False)
    assert spoken(port, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        spoken(port, ssl.TLSVersion.TLSv1_1)

    # A renewed certificate is a change like that of a setting.
    assert installation.up() is Outcome.ALREADY_UP
    issue(tmp_path / "issued")
    assert installation.up() is Outcome.STARTED
    assert installation.healthy() == {"panel"}


def test_two_installations_leave_each_other_alone(tmp_path):
    first, second = (Installation(tmp_path / name, "sleeper") for name in ("first", "second"))
    try:
        first.up()
        second.up()
        assert first.manager.down() > 0
        assert tagged_processes(first.layout) == ()
        assert second.up() is Outcome.ALREADY_UP
    finally:
        clean(first.layout)
        clean(second.layout)


def test_a_program_that_cannot_start_is_named_with_its_log(home):
    installation = Installation(home, "quitter")

    with pytest.raises(SetupError, match="quitter does not start") as caught:
        installation.up()

    assert "logs/quitter.log" in caught.value.fix
    assert installation.manager.down() > 0


def test_a_taken_port_is_named_with_its_holder(home):
    installation = Installation(home, "sleeper")
    with socket.create_server(("127.0.0.1", installation.settings.mlflow_port)):
        with pytest.raises(PortTakenError, match=rf"{installation.settings.mlflow_port}.*pid"):
            installation.up()

    assert tagged_processes(installation.layout) == ()
