from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import SetupError, UnavailableError
from core.services import checks
from core.services.certificate import Certificate
from core.services.checks import PortUse
from core.services.java import JavaRuntime
from core.services.ports import PublishedPort

HOME = Path("/somewhere")
CERTIFICATE = Certificate(HOME, HOME, b"", datetime(2027, 1, 1, tzinfo=UTC))
PANEL = PublishedPort("panel", 8501, "PILOTHOUSE_PANEL_PORT")


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        (checks.check_java(JavaRuntime(HOME, 17, "wheel")), True),
        (checks.check_java(SetupError("No Java 17 was found.", fix="Install it.")), False),
        (checks.check_cores(2, declared=0), True),
        (checks.check_cores(1, declared=0), False),
        (checks.check_cores(1, declared=2), True),
        (checks.check_memory(8000, services_run=False), True),
        (checks.check_memory(500, services_run=False), False),
        (checks.check_memory(500, services_run=True), True),
        (checks.check_disk(100_000, HOME), True),
        (checks.check_disk(10, HOME), False),
        (checks.check_home(True, HOME), True),
        (checks.check_home(False, HOME), False),
        (checks.check_tls(None), True),
        (checks.check_tls(CERTIFICATE), True),
        (checks.check_tls(SetupError("It has expired.", fix="Renew it.")), False),
        (checks.check_database("database", "X", "PostgreSQL 17"), True),
        (checks.check_database("database", "X", SetupError("No address.", fix="Give one.")), False),
        (checks.check_database("database", "X", UnavailableError("It is down.")), False),
        (checks.check_apart(True), True),
        (checks.check_apart(False), False),
        (checks.check_store("data is kept in the home"), True),
        (checks.check_store(UnavailableError("It is down.")), False),
        (checks.check_proxy("haproxy"), True),
        (checks.check_proxy("python"), True),
        (checks.check_port(PortUse(PANEL, "", is_ours=False)), True),
        (checks.check_port(PortUse(PANEL, "python (pid 3)", is_ours=True)), True),
        (checks.check_port(PortUse(PANEL, "nginx (pid 3)", is_ours=False)), False),
        (checks.check_versions({"ray": "2.60.0"}, {"ray": "2.60.0"}), True),
        (checks.check_versions({"ray": "2.60.0"}, {"ray": "2.61.0"}), False),
        (checks.check_versions({"ray": "2.60.0"}, {}), False),
        (checks.check_versions({}, {"ray": "2.61.0"}), True),
    ],
)
def test_verdicts(check, passed):
    assert check.passed is passed
    assert check.found
    assert passed or check.fix


def test_reads_pins_from_a_lock_with_hashes():
    text = "# made by hand\nray[serve]==2.60.0 \\\n    --hash=sha256:ab==\ndvc==3.67.1\n"

    assert checks.read_lock(text) == {"ray": "2.60.0", "dvc": "3.67.1"}


def test_the_first_failure_stops_a_start_with_its_fix():
    good = checks.check_disk(100_000, HOME)
    bad = checks.check_memory(500, services_run=False)

    with pytest.raises(SetupError, match="memory failed: 500 MiB available") as caught:
        checks.require([good, bad])

    assert "3072 MiB" in caught.value.fix
