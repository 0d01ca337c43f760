from __future__ import annotations

import fcntl
import itertools
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from core.backup import swap
from core.domain_serving import Health
from core.errors import ConflictError, PortTakenError, SetupError
from core.services import doctor, foreground, layout, ports, waiting
from core.services.environment import Launch
from core.services.haproxy import kept_beside
from core.services.health import HEALTHY, Finding
from core.services.java import JavaRuntime
from core.services.layout import Layout, layout_of
from core.services.manager import Outcome, ServiceManager
from core.services.programs import Program
from core.services.supervision import ProgramState, SupervisedProgram
from core.settings import Settings
from tests.certificates import issue


class FakeSupervisor:
    """Programs that run at once, unless told to fail."""

    def __init__(self, *failing: str) -> None:
        self.failing = set(failing)
        self.table: dict[str, SupervisedProgram] | None = None
        self.starts = 0

    def start(self, config: Path, environment: Mapping[str, str]) -> None:
        self.starts += 1
        self.table = {}
        for line in config.read_text().splitlines():
            if line.startswith("[program:"):
                self.start_program(line.removeprefix("[program:").rstrip("]"))

    def programs(self) -> Mapping[str, SupervisedProgram] | None:
        return self.table

    def start_program(self, name: str) -> None:
        assert self.table is not None
        state = ProgramState.FATAL if name in self.failing else ProgramState.RUNNING
        self.table[name] = SupervisedProgram(name, state, uptime_s=1.0)

    def stop_program(self, name: str) -> None:
        assert self.table is not None
        self.table[name] = SupervisedProgram(name, ProgramState.STOPPED, 0.0)

    def shut_down(self) -> None:
        self.table = None


@dataclass(frozen=True)
class FakeProbe:
    """Answers when the file is there."""

    file: Path
    address: str = ""

    def look(self, http: httpx.Client) -> Finding:
        return HEALTHY if self.file.exists() else Finding(Health.DOWN, "no file")


class Installation:
    """A manager over fakes; ``told`` is what it said."""

    def __init__(self, home: Path, *failing: str) -> None:
        self.supervisor = FakeSupervisor(*failing)
        self.settings = Settings(home=home / "home", start_timeout_s=2)
        self.layout: Layout = layout_of(self.settings.home)
        self.probe = FakeProbe(home / "healthy")
        self.probe.file.touch()
        self.told: list[str] = []

    def table(self, launch: Launch) -> Sequence[Program]:
        return (Program("one", ("true",), self.probe), Program("two", ("true",), self.probe))

    def up(self, **changes: object) -> Outcome:
        settings = self.settings.model_copy(update=changes)
        made = ServiceManager(settings, self.layout, self.supervisor, {}, self.table)
        return made.up(self.told.append, lambda rows: None)

    def down(self) -> int:
        return ServiceManager(self.settings, self.layout, self.supervisor, {}, self.table).down()


@pytest.fixture(autouse=True)
def _no_machine(monkeypatch, tmp_path):
    """The machine is fit, whatever it is; Java is found by tests of its own."""
    short = tmp_path / "short"
    short.mkdir()
    monkeypatch.setattr(layout, "_FALLBACK_TEMP", str(short))
    monkeypatch.setattr(layout, "_LONGEST_TEMP", 0)
    monkeypatch.setattr(doctor, "machine_checks", lambda *_, **__: ())
    monkeypatch.setattr(ports, "require_free", lambda settings: None)
    monkeypatch.setattr(ports, "is_free", lambda port, host="": True)
    monkeypatch.setattr(foreground, "find_java", lambda environment: _JAVA)
    monkeypatch.setattr(waiting, "_POLL_S", 0.01)


_JAVA = JavaRuntime(Path("/java"), 17, "system")


def test_a_first_start_keeps_its_ports_and_configuration(tmp_path):
    installation = Installation(tmp_path)

    assert installation.up() is Outcome.STARTED
    assert installation.told == ["Starting one, two."]
    assert ports.read_ports(installation.layout.ports_file)
    assert "[program:two]" in installation.layout.supervisor_config.read_text()


def test_a_start_shuts_the_home_to_the_machines_other_users(tmp_path):
    installation = Installation(tmp_path)
    installation.settings.home.mkdir(mode=0o755)
    installation.settings.home.chmod(0o2775)  # shared with a group, as some do

    installation.up()

    assert stat.S_IMODE(installation.settings.home.stat().st_mode) == 0o2770


def test_a_start_makes_rays_token_unless_told_otherwise(tmp_path):
    installation = Installation(tmp_path)
    file = installation.settings.ray_token_file
    installation.up(ray_token=False)
    assert not file.exists()

    installation.up()
    assert file.exists()


def test_a_certificate_is_shown_by_links_and_a_renewed_one_starts_everything_anew(tmp_path):
    installation, issued = Installation(tmp_path), issue(tmp_path / "issued")
    installation.up(**issued.settings)
    pem = installation.layout.haproxy_certificate
    offered = kept_beside(installation.layout.haproxy_launcher)
    assert (offered / pem.name).readlink() == issued.cert_file
    assert (offered / f"{pem.name}.key").readlink() == issued.key_file
    assert f"ssl crt {pem}" in installation.layout.haproxy_launcher.read_text()
    assert installation.up(**issued.settings) is Outcome.ALREADY_UP

    issue(tmp_path / "issued")
    assert installation.up(**issued.settings) is Outcome.STARTED


def test_a_certificate_that_has_expired_stops_a_start_before_anything_runs(tmp_path):
    issued = issue(tmp_path / "issued", begins_in_days=-2, ends_in_days=-1)
    installation = Installation(tmp_path)

    with pytest.raises(SetupError, match="has expired"):
        installation.up(**issued.settings)

    assert installation.supervisor.starts == 0


def test_a_second_start_finds_all_up(tmp_path):
    installation = Installation(tmp_path)
    installation.up()

    assert installation.up() is Outcome.ALREADY_UP
    assert installation.supervisor.starts == 1


def test_what_ended_is_started_again(tmp_path):
    installation = Installation(tmp_path)
    installation.up()
    installation.supervisor.stop_program("two")

    assert installation.up() is Outcome.REPAIRED
    assert installation.told[-1] == "Repairing two."
    assert installation.supervisor.starts == 1


def test_changed_settings_start_everything_anew(tmp_path):
    installation = Installation(tmp_path)
    installation.up()

    assert installation.up(operator="Ada") is Outcome.STARTED
    assert installation.supervisor.starts == 2


def test_a_dead_process_manager_is_replaced(tmp_path):
    installation = Installation(tmp_path)
    installation.up()
    installation.supervisor.table = None

    assert installation.up() is Outcome.STARTED


def test_a_program_that_gives_up_is_named_with_its_log(tmp_path):
    installation = Installation(tmp_path, "two")

    with pytest.raises(SetupError, match="service two does not start") as caught:
        installation.up()

    assert str(installation.layout.log_of("two")) in caught.value.fix


def test_a_program_that_keeps_dying_is_not_waited_for(tmp_path):
    installation = Installation(tmp_path)
    installation.probe.file.unlink()
    supervisor = installation.supervisor
    uptimes = itertools.count(1000, -1)
    plain = supervisor.programs

    def restless() -> Mapping[str, SupervisedProgram] | None:
        table = plain()
        return table and {
            name: replace(found, uptime_s=next(uptimes)) for name, found in table.items()
        }

    supervisor.programs = restless  # type: ignore[method-assign]

    with pytest.raises(SetupError, match="does not start"):
        installation.up(start_timeout_s=60)


def test_a_program_that_never_answers_ends_the_waiting(tmp_path):
    installation = Installation(tmp_path)
    installation.probe.file.unlink()

    with pytest.raises(SetupError, match="one is not healthy after 0 s"):
        installation.up(start_timeout_s=0.1)


def test_a_taken_port_stops_a_start_before_anything_runs(tmp_path, monkeypatch):
    def taken(settings: Settings) -> None:
        raise PortTakenError("Port 8000 is taken.")

    monkeypatch.setattr(ports, "require_free", taken)
    installation = Installation(tmp_path)

    with pytest.raises(PortTakenError):
        installation.up()

    assert installation.supervisor.starts == 0


def test_two_commands_at_a_time_are_one_too_many(tmp_path):
    installation = Installation(tmp_path)
    installation.layout.prepare()
    with installation.layout.lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="just now"):
            installation.up()


def test_down_may_be_repeated_and_needs_no_start_before(tmp_path):
    installation = Installation(tmp_path)
    assert installation.down() == 0
    installation.up()

    assert installation.down() == 0
    assert installation.supervisor.programs() is None
    assert installation.up() is Outcome.STARTED


def test_what_is_there_already_needs_neither_token_nor_proxy_here(tmp_path):
    installation = Installation(tmp_path)
    installation.up(ray_address="http://head:8265")

    assert not installation.layout.haproxy_launcher.exists()
    assert not installation.settings.ray_token_file.exists()
    assert ports.read_ports(installation.layout.ports_file)


def test_a_start_completes_a_restore_that_was_killed(tmp_path):
    installation = Installation(tmp_path)
    installation.layout.prepare()
    home = installation.layout.home
    (home / "pilothouse.db").write_text("old")
    (swap.begin(home) / "pilothouse.db").write_text("new")
    journal = swap.Journal(aside="before", away=("pilothouse.db",), incoming=("pilothouse.db",))
    (home / ".restore" / "journal.json").write_text(journal.model_dump_json())

    installation.up()

    assert (home / "pilothouse.db").read_text() == "new"
    assert (home / "before" / "pilothouse.db").read_text() == "old"
