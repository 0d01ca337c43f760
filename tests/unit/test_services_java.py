from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import SetupError
from core.services.java import find_java, parse_java

WHEEL = Path("/wheel")


def properties(home: str, version: str) -> str:
    return f"Property settings:\n    java.home = {home}\n    java.version = {version}\n"


class Machine:
    """Javas by the path of their binary."""

    def __init__(self, **versions: str) -> None:
        self.versions = versions

    def run(self, java: Path) -> str | None:
        home = java.parent.parent
        version = self.versions.get(home.name)
        return properties(str(home), version) if version else None


@pytest.mark.parametrize(
    ("version", "major"), [("1.8.0_402", 8), ("11.0.2", 11), ("17.0.15", 17), ("25", 25)]
)
def test_reads_old_and_new_version_numbers(version, major):
    assert parse_java(properties("/opt/java", version)) == (Path("/opt/java"), major)


def test_says_nothing_about_text_that_is_not_javas():
    assert parse_java("command not found") is None


def test_prefers_a_system_java_17():
    machine = Machine(system="17.0.15", wheel="17.0.9")

    java = find_java({"JAVA_HOME": "/system"}, machine.run, WHEEL)

    assert (java.home, java.origin) == (Path("/system"), "system")


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2", "21.0.1", "25"])
def test_takes_the_wheel_when_the_systems_java_is_another(version):
    machine = Machine(system=version, wheel="17.0.9")

    java = find_java({"JAVA_HOME": "/system"}, machine.run, WHEEL)

    assert (java.home, java.origin) == (WHEEL, "wheel")


def test_a_java_home_that_is_wrong_does_not_hide_the_java_on_the_path(tmp_path):
    binary = tmp_path / "good" / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.touch(mode=0o755)
    environment = {"JAVA_HOME": "/gone", "PATH": str(binary.parent)}

    java = find_java(environment, Machine(good="17.0.1").run, WHEEL)

    assert (java.home, java.origin) == (tmp_path / "good", "system")


def test_says_what_it_found_when_nothing_fits():
    with pytest.raises(SetupError, match=r"No Java 17 .* is Java 11") as caught:
        find_java({"JAVA_HOME": "/system"}, Machine(system="11.0.2").run, WHEEL)

    assert "openjdk-17" in caught.value.fix
