"""The checks of `pilothouse doctor` and of every start: values in, verdicts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import PilothouseError, SetupError
from core.services.certificate import Certificate
from core.services.java import JavaRuntime
from core.services.ports import PublishedPort

#: The services alone take 2 GiB; the smallest training run takes another.
MIN_MEMORY_MB = 3072
MIN_DISK_MB = 2048
#: The profile that runs take unless told otherwise has two.
MIN_CORES = 2
#: Packages whose exact versions decide whether the parts fit together.
KEY_PACKAGES = (
    "ray",
    "raydp",
    "pyspark",
    "mlflow",
    "dvc",
    "nannyml",
    "streamlit",
    "onnxruntime",
    "supervisor",
)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, what was found, and the fix when it is not good."""

    id: str
    passed: bool
    found: str
    fix: str = ""


@dataclass(frozen=True)
class PortUse:
    """Who holds a published port; ``holder`` is empty when it is free."""

    published: PublishedPort
    holder: str
    is_ours: bool


def check_java(java: JavaRuntime | SetupError) -> Check:
    """Java 17, from the system or from the wheel."""
    if isinstance(java, SetupError):
        return Check("java", False, java.message, java.fix)
    return Check("java", True, f"Java {java.major} ({java.origin}) in {java.home}")


def check_openmp(has_own: bool, bundled: Path | None) -> Check:
    """The runtime that checks of drift need: the system's, or the one in a wheel."""
    found = "libgomp of the system" if has_own else f"libgomp in {bundled}"
    if not has_own and bundled is None:
        found = "no libgomp"
    fix = "On Debian: apt-get install libgomp1."
    return Check("openmp", has_own or bundled is not None, found, fix)


def check_cores(cores: int, declared: int) -> Check:
    """Cores for the default profile, physical or declared."""
    found = f"{cores} physical cores" + (f", {declared} declared to Ray" if declared else "")
    return Check(
        "cores",
        (declared or cores) >= MIN_CORES,
        found,
        f"Set PILOTHOUSE_RAY_CPUS={MIN_CORES} to run the default profile oversubscribed.",
    )


def check_memory(available_mb: int, services_run: bool) -> Check:
    """Memory to start with; what running services took counts as theirs."""
    return Check(
        "memory",
        services_run or available_mb >= MIN_MEMORY_MB,
        f"{available_mb} MiB available",
        f"Free {MIN_MEMORY_MB} MiB: end other programs, or give this machine more memory.",
    )


def check_disk(free_mb: int, home: Path) -> Check:
    """Room for models, logs and Ray's files."""
    return Check(
        "disk",
        free_mb >= MIN_DISK_MB,
        f"{free_mb} MiB free for {home}",
        f"Free {MIN_DISK_MB} MiB there, or set PILOTHOUSE_HOME to another disk.",
    )


def check_home(is_writable: bool, home: Path) -> Check:
    """A home that can be written."""
    found = f"{home} can be written" if is_writable else f"{home} cannot be written"
    return Check("home", is_writable, found, "Set PILOTHOUSE_HOME to a folder that you may write.")


def check_database(name: str, setting: str, looked_at: str | PilothouseError) -> Check:
    """A database that answers: what it says of itself, or why it cannot be used."""
    if isinstance(looked_at, PilothouseError):
        fix = f"Start it, or correct {setting}; docs/database.md says what it has to be."
        return Check(name, False, looked_at.message.rstrip("."), looked_at.fix or fix)
    return Check(name, True, looked_at)


def check_apart(are_apart: bool) -> Check:
    """Two databases: Pilothouse and MLflow have tables of the same names."""
    return Check(
        "databases",
        are_apart,
        "Pilothouse and MLflow have a database each"
        if are_apart
        else "Pilothouse and MLflow are given the same database",
        "Give MLflow another one in PILOTHOUSE_MLFLOW_DATABASE_URL.",
    )


def check_store(looked_at: str | PilothouseError) -> Check:
    """A place for data that can be used: what it is, or why it cannot."""
    if isinstance(looked_at, PilothouseError):
        fix = looked_at.fix or "See docs/object-store.md."
        return Check("store", False, looked_at.message.rstrip("."), fix)
    return Check("store", True, looked_at)


def check_tls(certificate: Certificate | SetupError | None) -> Check:
    """A certificate that can be shown, or none."""
    if isinstance(certificate, SetupError):
        return Check("tls", False, certificate.message, certificate.fix)
    if certificate is None:
        return Check("tls", True, "no certificate: the panel and the served models speak HTTP")
    return Check("tls", True, f"valid until {certificate.expires_at:%Y-%m-%d %H:%M} UTC")


def check_proxy(proxy: str) -> Check:
    """What takes requests for served models, and what it costs; figures in docs/benchmarks.md."""
    found = "HAProxy takes requests for the served models"
    if proxy == "python":
        found = (
            "Ray's Python proxy takes requests for the served models: about a tenth of "
            "HAProxy's requests per second, and a prediction whose replica dies is not repeated"
        )
    return Check("proxy", True, found)


def check_port(use: PortUse) -> Check:
    """A published port that is free or ours."""
    published = use.published
    if not use.holder:
        found = f"{published.port} is free"
    elif use.is_ours:
        found = f"{published.port} is held by this installation"
    else:
        found = f"{published.port} is taken by {use.holder}"
    return Check(
        f"port {published.service}",
        not use.holder or use.is_ours,
        found,
        f"Stop that program, or set {published.setting} to a free port.",
    )


def check_versions(locked: Mapping[str, str], installed: Mapping[str, str]) -> Check:
    """Key packages as the lock file pins them; an empty lock has nothing to say."""
    wrong = [
        f"{name} is {installed.get(name, 'missing')} instead of {locked[name]}"
        for name in KEY_PACKAGES
        if name in locked and installed.get(name) != locked[name]
    ]
    found = "; ".join(wrong) or ", ".join(
        f"{name} {installed[name]}" for name in KEY_PACKAGES if name in installed
    )
    fix = "Run `make venv`, which installs what requirements.lock pins."
    return Check("versions", not wrong, found, fix)


def read_lock(text: str) -> Mapping[str, str]:
    """Versions by package from a lock file with lines such as ``ray==2.60.0``."""
    pins = (line.split("==", 1) for line in text.splitlines() if "==" in line.split(" ")[0])
    return {name.split("[")[0]: rest.split()[0] for name, rest in pins}


def require(checks: Sequence[Check]) -> None:
    """Refuses to start when a check failed.

    Raises:
        SetupError: names the first failure and its fix.
    """
    for check in checks:
        if not check.passed:
            raise SetupError(f"The check of {check.id} failed: {check.found}.", fix=check.fix)
