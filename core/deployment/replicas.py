"""What the replicas say of themselves: which versions they have, and what is beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx

from core.adapters.serve import ServeClient
from core.deployment.answers import (
    REPLICA_HEADER,
    Described,
    Ready,
    ReadyBeside,
    ReadyProblem,
    Refused,
)
from core.deployment.calls import read_answer
from core.domain_serving import Health, HeldBeside, ServedVersion, ServingStatus
from core.errors import PilothouseError, UnavailableError

#: Which replica answers is the proxy's choice; each has been asked after a few turns.
_TURNS = 10

#: Answers a GET of a path.
Get = Callable[[str], httpx.Response]


class LoadError(UnavailableError):
    """Waiting is of no use: the version was tried and cannot be loaded."""


class Replicas:
    """Asks the replicas through the proxy, like every caller.

    Raises, with every question: UnavailableError where nobody answers.
    """

    def __init__(self, client: ServeClient, problems: Sequence[str], get: Get) -> None:
        self._client = client
        self._problems = tuple(problems)
        self._get = get

    def status(self) -> ServingStatus:
        """Health, replicas and served versions; being down is a value, not an error."""
        try:
            state = self._client.status()
        except UnavailableError as exc:
            return ServingStatus(Health.DOWN, 0, (), str(exc))
        try:
            ready, _ = self._ready_of_one()
            served = self._served()
        except PilothouseError as exc:
            health = Health.STARTING if state.health is Health.STARTING else Health.DOWN
            detail = state.detail or exc.message
            return ServingStatus(
                health=health,
                replicas=state.replicas,
                served=(),
                detail=detail,
                is_blank=state.is_blank,
            )
        said = [f"{name}: {failure}" for name, failure in ready.failures().items()]
        return ServingStatus(
            health=Health.HEALTHY if served else Health.DOWN,
            replicas=state.replicas,
            served=served,
            detail=" ".join([*said, ready.inference_log.said()]).strip(),
            failures=ready.failures(),
            beside=self._beside(ready, state.replica_ids),
            is_blank=state.is_blank,
        )

    def settled_version(self, problem: str) -> int:
        """The version that every replica holds.

        Raises:
            LoadError: the one that they should hold cannot be loaded.
            UnavailableError: it cannot be said, or they hold several.
        """
        state = self._client.status()
        if not state.settled:
            raise UnavailableError("Ray Serve is still rolling it out.")
        versions = set()
        for ready in self._each_ready(state.replica_ids):
            failure = ready.failures().get(problem)
            if failure:
                raise LoadError(f"The new version of {problem} cannot be loaded: {failure}")
            found = ready.problems.get(problem)
            if found is None or found.version is None:
                raise UnavailableError(f"A replica has no model of {problem}.")
            versions.add(found.version)
        if len(versions) != 1:
            raise UnavailableError("Not every replica answers with the same version.")
        return versions.pop()

    def _served(self) -> tuple[ServedVersion, ...]:
        found = []
        for problem in self._problems:
            response = self._get(f"/problems/{problem}")
            # A problem without a loaded model is told by /readyz, not here.
            if response.is_success:
                found.append(ServedVersion(**read_answer(Described, response).model_dump()))
        return tuple(found)

    def _beside(self, ready: Ready, replicas: frozenset[str]) -> dict[str, HeldBeside]:
        """Problem -> what all replicas hold beside Production, by their own word.

        One that a replica tells otherwise, or not at all, is left out. Nobody is asked again
        where ``ready``, the word of one of them, tells of none.
        """
        names = [name for name, entry in ready.problems.items() if entry.beside is not None]
        if not names:
            return {}
        try:
            every = self._each_ready(replicas)
        except PilothouseError:
            return {}
        told = {
            name: [entry.beside for one in every if (entry := one.problems.get(name)) is not None]
            for name in names
        }
        common = {name: _in_common(said, len(every)) for name, said in told.items()}
        return {name: beside for name, beside in common.items() if beside is not None}

    def _each_ready(self, replicas: frozenset[str]) -> tuple[Ready, ...]:
        """What every replica says of itself; raises if not all of them have been heard."""
        heard: dict[str, Ready] = {}
        for _ in range(_TURNS * len(replicas)):
            ready, replica = self._ready_of_one()
            heard[replica] = ready
            if heard.keys() >= replicas:
                return tuple(heard[name] for name in replicas)
        raise UnavailableError("Not every replica answers.")

    def _ready_of_one(self) -> tuple[Ready, str]:
        """What one replica says of itself, and which it is."""
        response = self._get("/readyz")
        replica = response.headers.get(REPLICA_HEADER, "")
        if response.is_success:
            return read_answer(Ready, response), replica
        details = read_answer(Refused, response).error.details
        failures = {d.field: ReadyProblem(failure=d.problem) for d in details}
        return Ready(problems=failures), replica


def _in_common(said: Sequence[ReadyBeside | None], replicas: int) -> HeldBeside | None:
    """What so many replicas hold, if it is the same; loaded only where all have loaded it."""
    found = [one for one in said if one is not None]
    if len(found) < replicas or len({(one.rollout, one.step, one.version) for one in found}) != 1:
        return None
    return HeldBeside(
        rollout=found[0].rollout,
        step=found[0].step,
        version=found[0].version,
        loaded=all(one.loaded for one in found),
        failure=next((one.failure for one in found if one.failure), ""),
    )
