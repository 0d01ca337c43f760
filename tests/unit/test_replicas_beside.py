"""What is held beside Production is told where every replica says the same."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import httpx
import pytest

from core.adapters.serve import ServeClient
from core.deployment.answers import REPLICA_HEADER
from core.deployment.replicas import Replicas
from core.domain_serving import HeldBeside

Beside = dict[str, Any]
HELD: Beside = {"rollout": "r", "step": 1, "version": 5, "loaded": True, "failure": ""}


def asked(*told: Beside | None, quiet: int = 0) -> tuple[dict[str, HeldBeside], list[str]]:
    """What the status says of replicas that answer in turn, and what they were asked.

    So many run beside them that never answer.
    """
    names = [f"replica {number}" for number in range(len(told) + quiet)]
    deployment = {
        "status": "HEALTHY",
        "message": "",
        "replicas": [{"state": "RUNNING", "replica_id": name} for name in names],
    }
    application = {"status": "RUNNING", "message": "", "deployments": {"endpoint": deployment}}
    state = {"applications": {"pilothouse": application}}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=state))
    turns, paths = cycle(zip(names, told, strict=False)), []

    def get(path: str) -> httpx.Response:
        paths.append(path)
        if path != "/readyz":
            error = {"code": "not_found", "message": "None.", "details": []}
            return httpx.Response(404, json={"error": error})
        name, beside = next(turns)
        titanic: dict[str, Any] = {"version": 4, "failure": ""}
        if beside is not None:
            titanic["beside"] = beside
        problems = {"titanic": titanic, "other": {"version": 1, "failure": ""}}
        return httpx.Response(200, json={"problems": problems}, headers={REPLICA_HEADER: name})

    replicas = Replicas(ServeClient("http://ray", transport=transport), ["titanic"], get)
    return dict(replicas.status().beside), paths


def test_without_one_nobody_is_asked_again() -> None:
    assert asked(None, None) == ({}, ["/readyz", "/problems/titanic"])


def test_what_all_say_is_told() -> None:
    beside, paths = asked(HELD, HELD, HELD)
    assert beside == {"titanic": HeldBeside("r", 1, 5, loaded=True)}
    assert paths.count("/readyz") == 4


def test_it_is_loaded_where_every_replica_has_loaded_it() -> None:
    away = {**HELD, "loaded": False, "failure": "registry away"}
    beside, _ = asked(HELD, away)
    assert beside == {"titanic": HeldBeside("r", 1, 5, loaded=False, failure="registry away")}


@pytest.mark.parametrize(
    "other", [None, {**HELD, "step": 2}, {**HELD, "rollout": "s"}, {**HELD, "version": 6}]
)
def test_what_they_do_not_agree_on_is_not_told(other: Beside | None) -> None:
    assert asked(HELD, other)[0] == {}


def test_a_replica_that_is_not_heard_leaves_it_untold() -> None:
    assert asked(HELD, HELD, quiet=1)[0] == {}
