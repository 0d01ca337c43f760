"""A replica without Ray that holds a second version beside Production."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from core.deployment.endpoint import Beside, EndpointConfig
from core.rollout.notes import RolloutNotes
from core.scoring.bundle import BundleRef, read_bundle
from core.scoring.scorer import Scorer
from serve.asgi import EndpointApp
from serve.beside import Active
from serve.logs import ReplicaLogs
from serve.predictor import LoadedModel, warm_up
from serve.split import CALLER_KEY
from serve.store import ModelStore
from tests.serving_support import RECORD, open_gate, user_config, write_tiny_bundle

ROLLOUT = "r-1"
TIMEOUT_S = 20.0
#: Makes a scorer that does something else from one that works.
Scores = Callable[[Scorer], Any]


def ref(version: int) -> BundleRef:
    return BundleRef(problem="titanic", version=version, url=f"http://registry/{version}")


def plan(version: int = 2, share: float = 0.5, step: int = 0, **changed: Any) -> Beside:
    """A canary, unless ``changed`` says otherwise."""
    given = {"rollout": ROLLOUT, "kind": "canary", "step": step, "share": share}
    return Beside.model_validate({**given, "model": ref(version), **changed})


def until(holds: Callable[[], object]) -> None:
    """Returns once something holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline, "it has not come about"
        time.sleep(0.002)


@dataclass
class Loads:
    """Loads tiny models of versions from a folder, and remembers which it was asked for.

    ``scores`` replaces a version's scorer; ``before`` runs before a version is loaded.
    """

    folder: Path
    scores: dict[int, Scores] = field(default_factory=dict)
    before: dict[int, Callable[[], object]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def __call__(self, wanted: BundleRef, config: EndpointConfig) -> LoadedModel:
        self.asked.append(wanted.version)
        self.before.get(wanted.version, lambda: None)()
        bundle = read_bundle(self.folder / str(wanted.version))
        model = warm_up(wanted, bundle, config)
        change = self.scores.get(wanted.version)
        return replace(model, scorer=change(model.scorer)) if change else model


@dataclass
class Replica:
    """One replica, and what it was asked to load."""

    store: ModelStore
    logs: ReplicaLogs
    app: EndpointApp
    loads: Loads
    home: Path

    def hold(self, version: int, beside: Beside | None = None, **changed: Any) -> None:
        """Serves a version, and waits for what is beside it unless that cannot be loaded."""
        self.apply(version, beside, **changed)
        if beside is not None:
            until(lambda: self.active.model or self.active.failure)

    def apply(self, version: int, beside: Beside | None = None, **changed: Any) -> None:
        """The same without waiting."""
        document = user_config(self.home / "cache", titanic=ref(version))
        if beside is not None:
            document["models"]["titanic"]["beside"] = beside.model_dump(mode="json")
        self.store.apply({**document, "rollouts": str(self.home / "rollouts"), **changed})
        assert not self.store.snapshot.config_failure

    @property
    def active(self) -> Active:
        return self.store.snapshot.beside["titanic"]

    def notes(self, rollout: str = ROLLOUT) -> RolloutNotes:
        """What it has counted of a rollout, also of one that has ended."""
        (counts,) = [one for one in self.store.seconds.counts() if one.rollout == rollout]
        return counts.notes()

    def call(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One request."""
        return self.call_all([(method, path, given)])[0]

    def call_all(self, requests: list[tuple[str, str, dict[str, Any]]]) -> list[httpx.Response]:
        """Requests one after the other."""

        async def every() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://serving") as client:
                return [await client.request(how, path, **given) for how, path, given in requests]

        return asyncio.run(every())

    def predict(self, times: int, keys: Mapping[int, str] | None = None) -> list[int]:
        """Which version has answered each of so many requests; ``keys`` by their number."""
        asked = [
            (
                "POST",
                "/predict/titanic",
                {
                    "content": json.dumps({"records": [RECORD]}),
                    "headers": {CALLER_KEY: keys[number]} if keys else {},
                },
            )
            for number in range(times)
        ]
        answers = self.call_all(asked)
        assert Counter(answer.status_code for answer in answers) == {200: times}
        return [answer.json()["model_version"] for answer in answers]


@contextmanager
def replica(home: Path, name: str = "r1", versions: int = 3) -> Iterator[Replica]:
    """Versions 1, 2 and so on lie ready, with different answers; none is held yet."""
    for version in range(1, versions + 1):
        write_tiny_bundle(home / "versions" / str(version), bias=version - 1.0)
    loads = Loads(home / "versions")
    store = ModelStore(loads, lambda name, config: None, loads)
    logs = ReplicaLogs(name)
    yield Replica(store, logs, EndpointApp(store, logs, open_gate()), loads, home)
    store.close()
    logs.close()
