"""Looks at this machine for `pilothouse doctor`; the verdicts are in ``checks.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from core.adapters.database_engine import look_at, same_place
from core.adapters.openmp import bundled_openmp, has_openmp
from core.adapters.s3 import Bucket
from core.errors import PilothouseError, SetupError
from core.services import checks, machine, ports
from core.services.certificate import Certificate, load_certificate
from core.services.checks import Check, PortUse
from core.services.java import JavaRuntime, find_java
from core.services.layout import Layout
from core.services.processes import tagged_processes
from core.settings import CODE_ROOT, Settings, inherited_environment

LOCK_FILE = CODE_ROOT / "requirements.lock"


def machine_checks(settings: Settings, layout: Layout, services_run: bool) -> Sequence[Check]:
    """What every start needs besides Java and ports."""
    return (
        checks.check_home(machine.is_writable(layout.home), layout.home),
        checks.check_memory(machine.available_memory_mb(), services_run),
        checks.check_disk(machine.free_disk_mb(layout.home), layout.home),
        *database_checks(settings),
        store_check(settings),
    )


def database_checks(settings: Settings) -> Sequence[Check]:
    """Asks the databases that were given; SQLite in the home needs no question."""
    own = _given(lambda: settings.given_database)
    other = _given(lambda: settings.given_mlflow_database)
    found = [
        checks.check_database("database", "PILOTHOUSE_DATABASE_URL", _seen(own)),
        checks.check_database("MLflow's database", "PILOTHOUSE_MLFLOW_DATABASE_URL", _seen(other)),
    ]
    if isinstance(own, str) and isinstance(other, str) and all(one.passed for one in found):
        found.append(checks.check_apart(not same_place(own, other)))
    return found


def store_check(settings: Settings) -> Check:
    """Asks the S3 store that was given; the home needs no question."""
    try:
        store = settings.store
        return checks.check_store(Bucket(store).look() if store else "data is kept in the home")
    except PilothouseError as exc:
        return checks.check_store(exc)


def diagnose(settings: Settings, layout: Layout) -> Sequence[Check]:
    """Every check, in the order in which to repair."""
    ours = {process.pid for process in tagged_processes(layout)}
    return (
        checks.check_java(_java()),
        checks.check_openmp(has_openmp(), bundled_openmp()),
        checks.check_cores(machine.usable_cores(), settings.ray_cpus),
        *machine_checks(settings, layout, services_run=bool(ours)),
        checks.check_tls(_certificate(settings)),
        checks.check_proxy(settings.serving_proxy),
        *(checks.check_port(_use_of(port, ours)) for port in ports.published_ports(settings)),
        checks.check_versions(_locked(), _installed()),
    )


def _given(address: Callable[[], str]) -> str | PilothouseError:
    try:
        return address()
    except PilothouseError as exc:
        return exc


def _seen(address: str | PilothouseError) -> str | PilothouseError:
    """What a database says of itself, or why it cannot be used."""
    try:
        if isinstance(address, PilothouseError):
            return address
        return look_at(address) if address else "SQLite in the home"
    except PilothouseError as exc:
        return exc


def _java() -> JavaRuntime | SetupError:
    try:
        return find_java(inherited_environment())
    except SetupError as exc:
        return exc


def _certificate(settings: Settings) -> Certificate | SetupError | None:
    try:
        return load_certificate(settings)
    except SetupError as exc:
        return exc


def _use_of(published: ports.PublishedPort, ours: set[int]) -> PortUse:
    holder = ports.holder_of(published.port)
    if holder is not None:
        return PortUse(published, str(holder), holder.pid in ours)
    free = ports.is_free(published.port)
    return PortUse(published, "" if free else "another user's program", False)


def _locked() -> Mapping[str, str]:
    """Pinned versions; none where the code was installed without its lock file."""
    if not LOCK_FILE.is_file():
        return {}
    return checks.read_lock(LOCK_FILE.read_text(encoding="utf-8"))


def _installed() -> Mapping[str, str]:
    found = {}
    for name in checks.KEY_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
