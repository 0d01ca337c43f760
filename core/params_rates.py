"""Parameters of how fast a key may ask."""

from __future__ import annotations

from pydantic import Field

from core.frozen import Frozen


class RateParams(Frozen):
    """A token bucket for each key in each replica."""

    requests_per_second: float = Field(
        gt=0, description="Requests a second that a replica answers to one key, in the long run."
    )
    burst: int = Field(
        ge=1, description="Requests that a replica answers to one key at once after a pause."
    )
