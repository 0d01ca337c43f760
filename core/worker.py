"""The one background process: follows runs, considers candidates, keeps serving true.

Every duty is idempotent and reads its work from the database, so that a worker that was
killed goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from core.bootstrap import Pilothouse, connect
from core.deployment.load_watch import EVERY_S
from core.errors import PilothouseError, UnavailableError
from core.settings import Settings, load_settings

LOG = logging.getLogger(__name__)
BEAT_S = 2.0


def heartbeat_file(home: Path) -> Path:
    """File whose modification time says that the worker is alive."""
    return home / "run" / "worker.heartbeat"


def duties(pilothouse: Pilothouse) -> tuple[tuple[str, Callable[[], object]], ...]:
    """What every beat does, in order."""
    watch = pilothouse.watch

    def consider() -> None:
        failures: list[PilothouseError] = []
        for run in pilothouse.database.unconsidered_runs():
            try:
                pilothouse.promotions.consider(run)
            except PilothouseError as exc:
                # One that cannot be judged now does not keep the others waiting.
                failures.append(exc)
        if failures:
            raise failures[0]

    return (
        ("record settings", pilothouse.settings_watch.run),
        ("anchor the audit trail", pilothouse.audit.catch_up),
        ("follow runs", pilothouse.runs.refresh),
        ("follow checks", pilothouse.monitoring.refresh),
        ("check arrivals", lambda: watch.check_arrivals(pilothouse.problems)),
        ("check by schedule", lambda: watch.start_due_checks(datetime.now(UTC))),
        ("consider checks", watch.consider_checks),
        ("consider candidates", consider),
        ("finish promotions", pilothouse.promotions.finish),
        ("retrain", lambda: watch.retrain_due(pilothouse.problems, datetime.now(UTC))),
        ("watch aliases", lambda: watch.watch_aliases(pilothouse.problems, datetime.now(UTC))),
        ("file documents", pilothouse.papers.file_new),
        ("compact logs", pilothouse.upkeep.run),
        ("tell metrics of checks", pilothouse.monitoring.gauges.write),
    )


def beat(pilothouse: Pilothouse, failing: set[str]) -> None:
    """Does every duty once. One that fails is tried again at the next beat.

    ``failing`` remembers which duties failed last time, so that an outage is one line in
    the log and not one every two seconds.
    """
    for name, duty in duties(pilothouse):
        attempt(name, duty, failing)


def attempt(name: str, duty: Callable[[], object], failing: set[str]) -> None:
    """Does a duty; a failure is logged once and noted in ``failing`` until it succeeds."""
    try:
        duty()
        failing.discard(name)
    except PilothouseError as exc:
        if name not in failing:
            LOG.warning("%s: %s", name, exc)
        failing.add(name)
    except Exception:
        if name not in failing:
            LOG.exception("%s failed", name)
        failing.add(name)


def main() -> None:
    """Beats until told to stop."""
    settings = load_settings()
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    pulse = heartbeat_file(settings.home)
    pulse.parent.mkdir(parents=True, exist_ok=True)
    # A pulse of its own: a duty may wait for minutes on a service that starts.
    threading.Thread(target=_pulse, args=(pulse, stop), daemon=True).start()
    pilothouse = connected(settings, stop)
    if pilothouse is None:
        return
    # Beside the beats, because a receiver may keep its sender waiting.
    threading.Thread(target=deliver, args=(pilothouse, stop), daemon=True).start()
    # A beat may take minutes, and a revoked key has to be out within seconds.
    threading.Thread(target=keep_keys, args=(pilothouse, stop), daemon=True).start()
    # For the same reason: replicas are to be at the record within seconds.
    threading.Thread(target=keep_serving, args=(pilothouse, stop), daemon=True).start()
    # And a canary that fails has to be out as soon.
    threading.Thread(target=conduct, args=(pilothouse, stop), daemon=True).start()
    threading.Thread(target=estimate_canaries, args=(pilothouse, stop), daemon=True).start()
    # Beside them as well: what is measured late says little.
    threading.Thread(target=watch_load, args=(pilothouse, stop), daemon=True).start()
    failing: set[str] = set()
    while not stop.is_set():
        beat(pilothouse, failing)
        stop.wait(BEAT_S)


def connected(settings: Settings, stop: threading.Event) -> Pilothouse | None:
    """Connects, as soon as the database answers; ``None`` if told to stop before that.

    A database of its own host may start later, or be restarted at this moment. A worker that
    ended for it would be given up by its manager after a few times.
    """
    is_told = False
    while not stop.is_set():
        try:
            return connect(settings)
        except UnavailableError as exc:
            if not is_told:
                LOG.warning("connect: %s", exc)
            is_told = True
            stop.wait(BEAT_S)
    return None


def deliver(pilothouse: Pilothouse, stop: threading.Event) -> None:
    """Sends alerts as they become due, until told to stop."""
    failing: set[str] = set()

    def send() -> None:
        pilothouse.alerts.deliver_due(datetime.now(UTC))

    while not stop.is_set():
        attempt("deliver alerts", send, failing)
        stop.wait(BEAT_S)


def keep_keys(pilothouse: Pilothouse, stop: threading.Event) -> None:
    """Tells replicas of changed keys and keeps when keys were used, until told to stop."""
    failing: set[str] = set()
    while not stop.is_set():
        attempt("hand out keys", pilothouse.serving.hand_out_keys, failing)
        attempt("keep the use of keys", pilothouse.keys.carry_use, failing)
        stop.wait(BEAT_S)


def keep_serving(pilothouse: Pilothouse, stop: threading.Event) -> None:
    """Keeps replicas at the promotion record, until told to stop."""
    failing: set[str] = set()
    while not stop.is_set():
        attempt("reconcile serving", pilothouse.serving_watch.run, failing)
        stop.wait(BEAT_S)


def conduct(pilothouse: Pilothouse, stop: threading.Event) -> None:
    """Takes canaries on or back, until told to stop."""
    failing: set[str] = set()

    def look() -> None:
        pilothouse.conductor.run(pilothouse.problems)

    while not stop.is_set():
        attempt("conduct rollouts", look, failing)
        stop.wait(BEAT_S)


def estimate_canaries(pilothouse: Pilothouse, stop: threading.Event) -> None:
    """Estimates what canaries are worth, until told to stop."""
    failing: set[str] = set()

    def look() -> None:
        pilothouse.conductor.estimate(pilothouse.problems)

    while not stop.is_set():
        attempt("estimate canaries", look, failing)
        stop.wait(BEAT_S)


def watch_load(pilothouse: Pilothouse, stop: threading.Event) -> None:
    """Measures the served models and notes how they are scaled, until told to stop."""
    failing: set[str] = set()
    while not stop.is_set():
        attempt("watch the load", pilothouse.load_watch.look, failing)
        attempt("count for objectives", pilothouse.slo_watch.look, failing)
        stop.wait(EVERY_S)


def _pulse(path: Path, stop: threading.Event) -> None:
    while not stop.is_set():
        # A disk that fails for a moment must not end what says that the worker lives.
        with contextlib.suppress(OSError):
            path.touch()
        stop.wait(BEAT_S)


if __name__ == "__main__":
    main()
