"""The words of services and serving as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Health(StrEnum):
    """Whether a service can be used."""

    HEALTHY = "healthy"
    STARTING = "starting"
    DOWN = "down"


@dataclass(frozen=True)
class ServiceStatus:
    """One service of the installation."""

    name: str
    address: str
    health: Health
    #: What is wrong and what to do, or an empty text.
    detail: str = ""


@dataclass(frozen=True)
class ServedVersion:
    """What replicas answer with for one problem."""

    problem: str
    version: int
    run_id: str
    family: str
    threshold: float
    #: SHA-256 of the page of facts that was loaded, in hex; empty where it is not told.
    bundle_sha256: str = ""


@dataclass(frozen=True)
class HeldBeside:
    """The second version of a problem that a replica holds for a rollout."""

    rollout: str
    step: int
    version: int
    loaded: bool
    #: Why it cannot be loaded; empty otherwise.
    failure: str = ""


@dataclass(frozen=True)
class ServingStatus:
    """Ray Serve as seen from outside."""

    health: Health
    replicas: int
    served: tuple[ServedVersion, ...]
    detail: str = ""
    #: Problem -> why the version that it should have cannot be loaded.
    failures: Mapping[str, str] = field(default_factory=dict)
    #: Problem -> what replicas hold beside Production; one that holds nothing is left out.
    beside: Mapping[str, HeldBeside] = field(default_factory=dict)
    #: Whether something else than us has put the application last, without any model.
    is_blank: bool = False


@dataclass(frozen=True)
class PredictionAnswer:
    """One answer of the served model to a request of the panel."""

    request_id: str
    model_version: int
    label: int | str
    probability: float
    latency_ms: float
