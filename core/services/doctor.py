"""Looks at this machine for `pilothouse doctor`; the verdicts are in ``checks.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from core.adapters.openmp import bundled_openmp, has_openmp
from core.errors import SetupError
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
    )


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
