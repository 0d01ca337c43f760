"""The part of the composition root that builds checks, alerts and retraining."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.adapters.database_alerts import AlertRecords
from core.adapters.database_batches import BatchRecords
from core.adapters.database_checks import CheckRecords
from core.monitoring.alerts import AlertService, Receiver
from core.monitoring.checks import MonitoringService
from core.monitoring.retrains import RetrainingService, TrainableRows
from core.monitoring.watching import WatchService
from core.params import Params
from core.problems.contract import Problem
from core.promotion.promotions import PromotionService
from core.promotion.trail import AuditTrail
from core.settings import Settings
from core.training.runs import RunService

if TYPE_CHECKING:
    from core.bootstrap import Adapters


def connect_receivers(settings: Settings, params: Params) -> Receiver | None:
    """Builds the door to those who are told of alerts; ``None`` where nobody is.

    Raises:
        SetupError: the file that should hold their addresses cannot be read.
    """
    urls = settings.alert_urls
    if not urls:
        return None
    # Apprise takes a quarter of a second to import.
    from core.adapters.notification import Receivers

    return Receivers(urls, params.alerts.timeout_s)


@dataclass(frozen=True)
class Watching:
    """What watches the models in production."""

    monitoring: MonitoringService
    alerts: AlertService
    retraining: RetrainingService
    watch: WatchService


def assemble_watching(
    settings: Settings,
    params: Params,
    problems: Mapping[str, Problem],
    adapters: Adapters,
    promotions: PromotionService,
    runs: RunService,
    trainable: TrainableRows,
    trail: AuditTrail,
) -> Watching:
    """Puts the services together that watch what arrives and what is answered."""
    database, tracker = adapters.database, adapters.tracker
    batches, checks = BatchRecords(database), CheckRecords(database)
    alert_records = AlertRecords(database)
    monitoring = MonitoringService(
        params,
        problems,
        checks,
        batches,
        promotions,
        tracker,
        adapters.cluster,
        settings.home,
        trail,
    )
    alerts = AlertService(
        params.alerts, alert_records, adapters.receiver, settings.panel_link, trail
    )
    retraining = RetrainingService(
        params.retraining,
        problems,
        database,
        alert_records,
        tracker,
        runs,
        promotions,
        monitoring,
        batches,
        trainable,
    )
    watch = WatchService(
        params.schedule, monitoring, checks, batches, alerts, retraining, promotions
    )
    return Watching(monitoring, alerts, retraining, watch)
