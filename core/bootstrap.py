"""The composition root: the only place that builds adapters and hands them to services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from core.adapters.database import Database
from core.adapters.database_alerts import AlertRecords
from core.adapters.database_batches import BatchRecords
from core.adapters.database_checks import CheckRecords
from core.adapters.dvc import DataVersions
from core.adapters.mlflow import RunTracker, connected_client
from core.adapters.mlflow_registry import ModelRegistry
from core.adapters.nannyml import load_later, load_reference
from core.adapters.openmp import lend_openmp
from core.adapters.ray import RayCluster
from core.adapters.serve import ServeClient
from core.data.batch_files import batches_folder
from core.data.batches import BatchService
from core.data.ingest import Providers, read_file_source
from core.data.labelled import LabelledRows, read_labelled
from core.data.labels import LabelLog, labels_folder
from core.deployment.inference_log import InferenceLog, inference_folder
from core.deployment.reconciler import Reconciler
from core.deployment.serving import ServingService
from core.deployment.upkeep import LogUpkeep
from core.monitoring.alerts import AlertService, Receiver
from core.monitoring.arrivals import Arrivals, LateLabels
from core.monitoring.checks import MonitoringService
from core.monitoring.detector import Detector
from core.monitoring.reference import References
from core.params import Params, load_params
from core.problems import load_problem
from core.problems.contract import Problem, SearchSpace
from core.promotion.promotions import PromotionService
from core.services.health import HealthService
from core.settings import Settings, be_impatient, load_settings, silence_vendors
from core.training.adaptive import Proposer
from core.training.experiments import ExperimentService
from core.training.runs import RunService
from core.training.sweeps import SweepService
from core.training.trials import ParamValue


@dataclass(frozen=True)
class Pilothouse:
    """Everything an operator can do, for the panel, the command line and the worker."""

    settings: Settings
    params: Params
    problems: Mapping[str, Problem]
    database: Database
    runs: RunService
    experiments: ExperimentService
    sweeps: SweepService
    batches: BatchService
    promotions: PromotionService
    alerts: AlertService
    references: References
    monitoring: MonitoringService
    serving: ServingService
    reconciler: Reconciler
    inference: InferenceLog
    labels: LabelLog
    upkeep: LogUpkeep
    health: HealthService


#: provider of a data set -> its reader.
PROVIDERS: Providers = {"nannyml": load_reference, "file": read_file_source}
#: provider of a data set -> reader of the rows that come after training, with their labels.
LATER_ROWS: Providers = {"nannyml": load_later}


def propose_by_tpe(space: SearchSpace, families: Sequence[str], trials: int, seed: int) -> Proposer:
    """Builds what chooses the trials of an adaptive search."""
    # Optuna takes a third of a second to import, and most processes never search.
    from core.adapters.optuna import TpeProposer

    return TpeProposer(space, families, trials, seed)


def explain_by_fanova(
    settings: Sequence[Mapping[str, ParamValue]], values: Sequence[float]
) -> Mapping[str, float]:
    """Tells how much of the variance of ``values`` each parameter explains."""
    from core.adapters.optuna import explain_by_fanova as explain

    return explain(settings, values)


def build_detector() -> Detector:
    """Builds what tells drift and estimates performance."""
    # NannyML takes seconds to import, and only a check needs it.
    silence_vendors()
    lend_openmp()
    from core.adapters.nannyml_detector import NannymlDetector

    return NannymlDetector()


@dataclass(frozen=True)
class Tracking:
    """What the process of a run needs of MLflow."""

    tracker: RunTracker
    registry: ModelRegistry


def connect_tracking(settings: Settings) -> Tracking:
    """Builds the doors to MLflow; the server need not be up for it."""
    client = connected_client(settings.mlflow_url)
    return Tracking(RunTracker(client), ModelRegistry(client, settings.mlflow_url))


def connect_arrivals(settings: Settings, problems: Mapping[str, Problem]) -> Arrivals:
    """Builds the doors to what was answered and to late labels; both are files."""
    contracts = {name: problem.contract for name, problem in problems.items()}
    log = InferenceLog(inference_folder(settings.home), contracts)
    return Arrivals(log, LateLabels(LabelLog(labels_folder(settings.home))))


def connect_cluster(settings: Settings) -> RayCluster:
    """Builds the door to Ray's jobs."""
    return RayCluster(settings.ray_dashboard_url)


def connect_labelled_rows(settings: Settings) -> LabelledRows:
    """Builds the reader of the labelled rows of batches."""
    return partial(read_labelled, settings.home)


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


def connect(settings: Settings | None = None) -> Pilothouse:
    """Builds the services of one installation; no service needs to be up for it.

    Raises:
        SetupError: a setting is not usable.
        InvalidInputError: ``params.yaml`` is not usable.
    """
    settings = settings or load_settings()
    params = load_params(settings.params_file)
    problems = {name: load_problem(name, settings.packages) for name in params.problems}
    be_impatient()
    database = Database(settings.database_url)
    database.migrate()
    tracking = connect_tracking(settings)
    tracker, registry = tracking.tracker, tracking.registry
    cluster = connect_cluster(settings)
    promotions = PromotionService(params, problems, database, registry)
    serving = ServingService(
        settings, params.serving, ServeClient(settings.ray_dashboard_url), tuple(problems)
    )
    contracts = {name: problem.contract for name, problem in problems.items()}
    inference = InferenceLog(inference_folder(settings.home), contracts)
    labels = LabelLog(labels_folder(settings.home))
    return Pilothouse(
        settings=settings,
        params=params,
        problems=problems,
        database=database,
        runs=RunService(params, problems, database, tracker, cluster, settings.home),
        experiments=ExperimentService(database, tracker, explain_by_fanova),
        sweeps=SweepService(params, problems, tracker, cluster, settings.home),
        batches=BatchService(
            problems,
            BatchRecords(database),
            DataVersions(batches_folder(settings.home)),
            settings.home,
        ),
        promotions=promotions,
        alerts=AlertService(
            params.alerts,
            AlertRecords(database),
            connect_receivers(settings, params),
            settings.panel_url,
        ),
        references=References(promotions, tracker, settings.home),
        monitoring=MonitoringService(
            params.monitoring,
            problems,
            CheckRecords(database),
            BatchRecords(database),
            promotions,
            tracker,
            cluster,
            settings.home,
        ),
        serving=serving,
        reconciler=Reconciler(params.problems, promotions, registry, serving),
        inference=inference,
        labels=labels,
        upkeep=LogUpkeep(inference, labels, params.serving.inference_log.keep_days),
        health=HealthService(settings),
    )
