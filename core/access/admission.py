"""What a replica is told of keys: pure values, part of its ``user_config``.

Only hashes travel, so whoever reads Ray Serve's configuration cannot ask with them.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import AwareDatetime, Field

from core.access.serving_key import Scope
from core.frozen import Frozen
from core.params_rates import RateParams

_SHA256 = r"^[0-9a-f]{64}$"


class AdmittedKey(Frozen):
    """A key that replicas take until it expires."""

    id: str
    problem: str
    scopes: tuple[Scope, ...]
    #: Of the whole key, in hex.
    sha256: str = Field(pattern=_SHA256)
    expires_at: AwareDatetime | None
    requests_per_second: float | None = Field(gt=0)


class Admission(Frozen):
    """Who is answered, and how often."""

    #: Whether a request without a key is refused.
    required: bool
    #: In the order of their ids, so that the same keys are the same value.
    keys: tuple[AdmittedKey, ...]
    #: Of the installation's own key, which may do everything; in hex.
    own_sha256: str = Field(pattern=_SHA256)
    limits: RateParams
    #: Folder in which replicas note when keys were last used.
    use: Path
