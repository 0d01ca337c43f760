"""The models that a replica holds, swapped as one; no Ray inside."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from core.deployment.endpoint import EndpointConfig
from core.errors import NotFoundError, PilothouseError, UnavailableError
from core.scoring.bundle import BundleRef
from serve.predictor import LoadedModel, load_model

logger = logging.getLogger(__name__)

Load = Callable[[BundleRef, EndpointConfig], LoadedModel]


@dataclass(frozen=True)
class Snapshot:
    """Everything a request may look at, seen at one moment.

    ``models`` may hold an older version than ``config`` wants; ``failures`` then says
    why, by problem. ``config_failure`` is set when the configuration itself is unusable.
    """

    config: EndpointConfig | None = None
    models: Mapping[str, LoadedModel] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    config_failure: str = ""

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

    def unready(self) -> dict[str, str]:
        """Why this replica is not ready: problem (or ``models``) -> reason; empty if ready."""
        if self.config is None or not self.config.models:
            return {"models": self.config_failure or "No model is configured."}
        missing = [name for name in self.config.models if name not in self.models]
        return {name: self.failures[name] for name in missing}


class ModelStore:
    """Holds the snapshot. One thread changes it at a time; readers never wait."""

    def __init__(self, load: Load = load_model) -> None:
        self._load = load
        self._changing = threading.Lock()
        self.snapshot = Snapshot()

    def apply(self, user_config: object) -> None:
        """Loads what ``user_config`` names beside what serves, then swaps at once.

        Never raises: Ray Serve would answer an exception here by killing the replica
        and with it the model that still works.
        """
        with self._changing:
            old = self.snapshot
            try:
                config = EndpointConfig.model_validate(user_config)
            except ValidationError as exc:
                first = exc.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                reason = f"The configuration cannot be used: {where}: {first['msg']}."
                logger.error(reason)
                self.snapshot = Snapshot(old.config, old.models, old.failures, reason)
                return
            if _keys_alone_differ(old.config, config):
                # What could not be loaded is tried again at its time, not with every key.
                self.snapshot = Snapshot(config, old.models, old.failures)
                return
            self._load_all(config)

    def retry(self) -> None:
        """Tries again what could not be loaded."""
        with self._changing:
            config = self.snapshot.config
            if config is not None and self.snapshot.failures:
                self._load_all(config)

    def _load_all(self, config: EndpointConfig) -> None:
        old = self.snapshot
        unchanged = old.config is not None and _loads_alike(old.config, config)
        models: dict[str, LoadedModel] = {}
        failures: dict[str, str] = {}
        for name, wanted in config.models.items():
            held = old.models.get(name)
            if held is not None and unchanged and held.ref == wanted.production:
                models[name] = held
                continue
            try:
                models[name] = self._load(wanted.production, config)
                logger.info("%s v%d is loaded", name, wanted.production.version)
            except Exception as exc:
                # Whatever onnxruntime raises: one bad model must not stop the others.
                failures[name] = _reason(exc)
                logger.exception("%s v%d cannot be loaded", name, wanted.production.version)
                if held is not None:
                    models[name] = held
        self.snapshot = Snapshot(config, models, failures)


def _keys_alone_differ(old: EndpointConfig | None, new: EndpointConfig) -> bool:
    return old is not None and old == new.model_copy(update={"access": old.access})


def _loads_alike(old: EndpointConfig, new: EndpointConfig) -> bool:
    """Whether a model loaded under ``old`` is what ``new`` would load."""
    same_limits = (old.max_records, old.max_body_mb) == (new.max_records, new.max_body_mb)
    return same_limits and old.packages == new.packages


def _reason(exc: Exception) -> str:
    if isinstance(exc, PilothouseError):
        return str(exc)
    return f"{type(exc).__name__}: {str(exc)[:200]}"
