"""The part of the composition root that builds the served models and who may ask them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from core.access.key_ring import KeyRing
from core.access.keys import KeyService
from core.adapters.database import Database
from core.adapters.database_keys import KeyRecords
from core.adapters.serve import ServeClient
from core.deployment.serving import ServingService
from core.params import ServingParams
from core.promotion.trail import AuditTrail
from core.settings import Settings
from core.simulation.calling import Caller

if TYPE_CHECKING:
    from core.bootstrap import Adapters


def connect_serving(
    settings: Settings, params: ServingParams, problems: Collection[str], database: Database
) -> ServingService:
    """Builds the door to the served models; they need not be up for it."""
    ring = KeyRing(settings, params.limits, KeyRecords(database))
    client = ServeClient(settings.ray_dashboard_url, settings.ray_token_file)
    return ServingService(settings, params, client, tuple(problems), ring)


def connect_caller(settings: Settings, params: ServingParams, database: Database) -> Caller:
    """Builds a caller of the served models that has the installation's own key."""
    ring = KeyRing(settings, params.limits, KeyRecords(database))
    return Caller(settings, ring, params.max_records)


def assemble_keys(
    problems: Collection[str], adapters: Adapters, home: Path, trail: AuditTrail
) -> KeyService:
    """Builds what makes and revokes keys."""
    return KeyService(problems, KeyRecords(adapters.database), adapters.serving, home, trail)
