"""The part of the composition root that builds what takes canaries on and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.bootstrap_engines import estimate_performance
from core.deployment.inference_log import InferenceLog
from core.monitoring.alerts import AlertService
from core.params import Params
from core.problems.contract import Problem
from core.promotion.desk import Desk
from core.rollout.conductor import Conductor
from core.rollout.estimates import Estimator
from core.settings import Settings

if TYPE_CHECKING:
    from core.bootstrap import Adapters


def assemble_conductor(
    settings: Settings,
    params: Params,
    problems: Mapping[str, Problem],
    adapters: Adapters,
    desk: Desk,
    alerts: AlertService,
    log: InferenceLog,
) -> Conductor:
    """Builds the duty of the worker."""
    home = settings.home
    estimator = Estimator(
        params, log, adapters.tracker, adapters.registry, home, estimate_performance
    )
    return Conductor(desk, estimator, alerts, home)
