"""What decisions need of the services beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Obstacle:
    """Why a version cannot be served: by the registry, or by the replica that tried."""

    reason: str
    #: It was deleted, so trying again is of no use.
    deleted: bool = False
    #: The registry does not answer, so nobody can tell what is the matter with the version.
    is_outage: bool = False


class Deployment(Protocol):
    """What makes replicas serve the promotion record."""

    def repair(self, *, anew: bool = False) -> object:
        """Tells replicas to serve the record where they do not, or in any case with ``anew``.

        Raises:
            UnavailableError: registry or Ray Serve do not answer.
        """
