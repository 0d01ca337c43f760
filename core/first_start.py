"""What `pilothouse up` does once the services are healthy: a model for every problem.

An empty store gets its first models by training; otherwise what the promotion record says
is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from core.bootstrap import Pilothouse
from core.domain import Run, RunStatus
from core.errors import TrainingError, UnavailableError

POLL_S = 1.0
#: After a run the worker looks at its version; that takes one beat or two.
CONSIDER_TIMEOUT_S = 60.0
#: Hears, in a few words, what is going on.
Say = Callable[[str], None]


def ensure_models(pilothouse: Pilothouse, say: Say, *, actor: str) -> None:
    """Trains what ``bootstrap`` lists and nothing serves, then waits until all is served.

    Raises:
        TrainingError: a first run did not end with a model.
        UnavailableError: a recorded version does not come to serve.
    """
    for problem in pilothouse.problems:
        _await_worker(pilothouse, problem, say)
    for problem in pilothouse.params.bootstrap:
        if pilothouse.promotions.production(problem) is None:
            _train_first(pilothouse, problem, say, actor)
    for problem in pilothouse.problems:
        _wait_until_served(pilothouse, problem, say)


def ensure_model(pilothouse: Pilothouse, problem: str, say: Say, *, actor: str) -> None:
    """Trains one problem if nothing serves, then waits until it is served.

    Raises:
        TrainingError: the run did not end with a model.
        UnavailableError: the recorded version does not come to serve.
    """
    _await_worker(pilothouse, problem, say)
    if pilothouse.promotions.production(problem) is None:
        _train_first(pilothouse, problem, say, actor)
    _wait_until_served(pilothouse, problem, say)


def _await_worker(pilothouse: Pilothouse, problem: str, say: Say) -> None:
    """A first model that waits for the worker, such as one of the pipeline, is no reason to train.

    Where something serves, nobody has to wait for what comes next.
    """
    if pilothouse.promotions.production(problem) is None:
        for run in pilothouse.database.unconsidered_runs():
            if run.problem == problem:
                follow(pilothouse, run, lambda text: say(f"{problem}: {text}"))


def _wait_until_served(pilothouse: Pilothouse, problem: str, say: Say) -> None:
    recorded = pilothouse.promotions.production(problem)
    if recorded is not None:
        say(f"loading {problem} v{recorded.version}")
        pilothouse.serving.wait_until_serving(
            problem, recorded.version, pilothouse.settings.start_timeout_s
        )


def _train_first(pilothouse: Pilothouse, problem: str, say: Say, actor: str) -> None:
    active = [run for run in pilothouse.runs.list(problem, 1) if run.status.is_active]
    run = (
        active[0]
        if active
        else pilothouse.runs.start(problem, profile=None, overrides={}, actor=actor)
    )
    ended = follow(pilothouse, run, lambda text: say(f"{problem}: {text}"))
    if ended.status is not RunStatus.FINISHED:
        raise TrainingError(
            f"The first training of {problem} {ended.status.value}: {ended.error}",
            fix=f"`pilothouse runs logs {ended.id}` shows its log.",
        )
    if pilothouse.promotions.production(problem) is None:
        raise UnavailableError(
            f"The worker has not promoted the first model of {problem}.",
            fix="Look at logs/worker.log.",
        )


def follow(pilothouse: Pilothouse, run: Run, say: Say) -> Run:
    """Waits for a run's end and for the worker's verdict on its version."""
    current = run
    while current.status.is_active:
        at = current.progress
        say(f"{at.percent:3d} % {at.stage.value} {at.message}".rstrip() if at else "queued")
        time.sleep(POLL_S)
        current = pilothouse.runs.get(run.id)
    deadline = time.monotonic() + CONSIDER_TIMEOUT_S
    while current.id in {item.id for item in pilothouse.database.unconsidered_runs()}:
        if time.monotonic() > deadline:
            break
        say("the worker looks at the version")
        time.sleep(POLL_S)
    return current
