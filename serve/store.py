"""The models that a replica holds, swapped as one; no Ray inside."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from core.deployment.endpoint import EndpointConfig
from core.errors import NotFoundError, UnavailableError
from serve.beside import Active, Held, SecondVersions, reusable
from serve.loading import (
    Load,
    Loads,
    keep_served,
    load_model,
    load_second,
    load_stand_in,
    reason_of,
)
from serve.predictor import LoadedModel

logger = logging.getLogger(__name__)

#: For a shadow to score the request that it is at.
CLOSE_TIMEOUT_S = 1.0

StandIn = Callable[[str, EndpointConfig], LoadedModel | None]


@dataclass(frozen=True)
class Snapshot:
    """Everything a request may look at, seen at one moment.

    ``models`` may hold an older version than ``config`` wants; ``failures`` then says
    why, by problem. ``config_failure`` is set when the configuration itself is unusable.
    ``beside`` has what is held for a rollout; a problem without one is left out.
    """

    config: EndpointConfig | None = None
    models: Mapping[str, LoadedModel] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    config_failure: str = ""
    beside: Mapping[str, Active] = field(default_factory=dict)

    def model(self, problem: str) -> LoadedModel:
        """The loaded model of a problem.

        Raises:
            NotFoundError: no model is configured for the problem.
            UnavailableError: one is configured and could not be loaded.
        """
        try:
            return self.models[problem]
        except KeyError:
            pass
        if problem in self.failures:
            raise UnavailableError(f"The model cannot be loaded: {self.failures[problem]}")
        served = ", ".join(sorted(self.models)) or "none"
        raise NotFoundError(f"No model is served for {problem[:80]!r}. Served problems: {served}.")

    def knows(self, problem: str) -> bool:
        """Whether the problem is configured here, loaded or not."""
        return problem in self.models or problem in self.failures

    def unready(self) -> dict[str, str]:
        """Why this replica is not ready: problem (or ``models``) -> reason; empty if ready."""
        if self.config is None or not self.config.models:
            return {"models": self.config_failure or "No model is configured."}
        missing = [name for name in self.config.models if name not in self.models]
        return {name: self.failures[name] for name in missing}


class ModelStore:
    """Holds the snapshot. One thread at a time loads Production; readers never wait."""

    def __init__(
        self,
        load: Load = load_model,
        stand_in: StandIn = load_stand_in,
        load_second: Load = load_second,
    ) -> None:
        self._load = load
        self._stand_in = stand_in
        self._changing = threading.Lock()
        #: Held for the change alone, never over a load.
        self._swapping = threading.Lock()
        self.seconds = SecondVersions(load_second, self._publish)
        self.snapshot = Snapshot()

    def apply(self, user_config: object) -> None:
        """Loads what ``user_config`` names beside what serves, then swaps at once.

        What a rollout has beside Production is loaded in a thread of its own afterwards. Never
        raises: Ray Serve would answer an exception here by killing the replica and with it the
        model that still works.
        """
        try:
            config = EndpointConfig.model_validate(user_config)
        except ValidationError as exc:
            self._tell(exc)
            return
        before = self.snapshot
        # Another load may be going on; a canary that is taken back does not wait for it either.
        self._publish(lambda held: self.seconds.at_once(config, held))
        with self._changing:
            old = self.snapshot
            if old.config is before.config:  # what was dropped just now may be used again
                old = replace(old, beside={**before.beside, **old.beside})
            if _keys_alone_differ(old.config, config):
                # What could not be loaded is tried again at its time, not with every key.
                self._swap(lambda now: replace(now, config=config, config_failure=""))
                return
            self._publish(lambda held: self.seconds.at_once(config, held))
            self._load_all(config, old)

    def retry(self) -> None:
        """Tries again what could not be loaded."""
        with self._changing:
            config = self.snapshot.config
            if config is not None and self.snapshot.failures:
                self._load_all(config, self.snapshot)

    def load_seconds(self) -> None:
        """Starts to load second versions that could not be loaded; returns at once."""
        snapshot = self.snapshot
        self.seconds.load_missing(snapshot.config, snapshot.beside)

    def close(self) -> None:
        """Ends the threads of shadows. A process that ended in the middle of one would crash."""
        for active in self.snapshot.beside.values():
            if active.shadow is not None:
                active.shadow.close(CLOSE_TIMEOUT_S)

    def _tell(self, error: ValidationError) -> None:
        """Says why a configuration cannot be used; what serves stays."""
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"The configuration cannot be used: {where}: {first['msg']}."
        logger.error(reason)
        with self._changing:
            self._swap(lambda now: replace(now, config_failure=reason))

    def _load_all(self, config: EndpointConfig, old: Snapshot) -> None:
        """Loads Production; ``old`` is the snapshot before anything of ``config`` was done."""
        unchanged = old.config is not None and Loads.of(old.config) == Loads.of(config)
        models: dict[str, LoadedModel] = {}
        failures: dict[str, str] = {}
        for name, wanted in config.models.items():
            held = old.models.get(name)
            if held is not None and unchanged and held.ref == wanted.production:
                models[name] = held
                continue
            second = old.beside[name].model if name in old.beside and unchanged else None
            loaded = reusable([second], wanted.production)
            if second is not None and loaded is not None:
                keep_served(second, config)
                models[name] = loaded
                logger.info("%s v%d takes over", name, loaded.ref.version)
                continue
            try:
                models[name] = self._load(wanted.production, config)
                logger.info("%s v%d is loaded", name, wanted.production.version)
            except Exception as exc:
                # Whatever onnxruntime raises: one bad model must not stop the others.
                failures[name] = reason_of(exc)
                logger.exception("%s v%d cannot be loaded", name, wanted.production.version)
                # A replica that has just started holds nothing yet.
                other = held or self._stand_in(name, config)
                if other is not None:
                    models[name] = other
                    failures[name] += f" v{other.ref.version} answers in its place."
        self._switch(config, models, failures, old if unchanged else Snapshot())
        self.load_seconds()

    def _switch(
        self,
        config: EndpointConfig,
        models: Mapping[str, LoadedModel],
        failures: Mapping[str, str],
        old: Snapshot,
    ) -> None:
        """Swaps both versions of every problem at once; models of ``old`` may be used again."""

        def change(now: Snapshot) -> Snapshot:
            spare: dict[str, list[LoadedModel | None]] = {}
            for name in config.models:
                spare[name] = [old.models.get(name)]
                # Loaded now is one, too, that arrived since.
                if old.config is not None:
                    spare[name] += [of[name].model for of in (old.beside, now.beside) if name in of]
            beside = self.seconds.settled(config, now.beside, spare)
            return Snapshot(config, models, failures, beside=beside)

        self._swap(change)

    def _publish(self, change: Callable[[Held], Held]) -> None:
        self._swap(lambda now: replace(now, beside=change(now.beside)))

    def _swap(self, change: Callable[[Snapshot], Snapshot]) -> None:
        with self._swapping:
            self.snapshot = change(self.snapshot)


def _keys_alone_differ(old: EndpointConfig | None, new: EndpointConfig) -> bool:
    return old is not None and old == new.model_copy(update={"access": old.access})
