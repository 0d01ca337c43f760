"""What decisions need of the services beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from core.domain import Promotion, PromotionRequest, Run
from core.promotion.evidence import Evidence


@dataclass(frozen=True)
class Frozen:
    """Evidence that is kept: its path among the artifacts of the run, and its SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Obstacle:
    """Why a version cannot be served: by the registry, or by the replica that tried."""

    reason: str
    #: It was deleted, so trying again is of no use.
    deleted: bool = False


class EvidenceService(Protocol):
    """What a request is decided on."""

    def gather(
        self, request_id: str, run: Run, incumbent: Promotion | None, requested_by: str
    ) -> Evidence:
        """Measures the version of a run against what serves, and judges it.

        Raises:
            NotFoundError: one of the two versions is not in the registry.
            UnavailableError: a service that has to be asked does not answer.
        """

    def freeze(self, evidence: Evidence) -> Frozen:
        """Keeps evidence beside the run of its candidate.

        Raises:
            UnavailableError: the store does not answer.
        """

    def read(self, request: PromotionRequest) -> Evidence:
        """Reads what was frozen for a request and holds it against its SHA-256.

        Raises:
            ConflictError: it is not what was frozen.
            NotFoundError: it is gone.
            UnavailableError: the store does not answer.
        """


class Deployment(Protocol):
    """What makes replicas serve the promotion record."""

    def repair(self) -> object:
        """Tells replicas to serve the record where they do not.

        Raises:
            UnavailableError: registry or Ray Serve do not answer.
        """
