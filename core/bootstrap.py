"""The composition root: the only place that builds adapters and hands them to services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from core.access.accounts import AccountService
from core.access.exposure import Exposure
from core.access.keys import KeyService
from core.access.people import People
from core.access.reach import exposure_of
from core.adapters.database import Database
from core.adapters.database_accounts import AccountRecords
from core.adapters.database_batches import BatchRecords
from core.adapters.dvc import DataVersions
from core.adapters.mlflow import RunTracker, connected_client
from core.adapters.mlflow_registry import ModelRegistry
from core.adapters.nannyml import load_later, load_reference
from core.adapters.ray import RayCluster
from core.bootstrap_backup import open_database
from core.bootstrap_deciding import assemble_deciding
from core.bootstrap_engines import explain_by_fanova
from core.bootstrap_logs import connect_labels, connect_log
from core.bootstrap_rollouts import assemble_conductor
from core.bootstrap_serving import assemble_keys, connect_serving
from core.bootstrap_store import connect_batch_versions, connect_fetch
from core.bootstrap_watching import assemble_watching, connect_receivers
from core.data.batches import BatchService
from core.data.ingest import Providers, read_file_source
from core.data.labelled import ReadLabelled, read_labelled
from core.data.labelling import LabelService
from core.deployment.load_view import LoadService
from core.deployment.load_watch import LoadWatch
from core.deployment.metrics import metrics_folder
from core.deployment.reconciler import Reconciler
from core.deployment.serving import ServingService
from core.deployment.serving_watch import ServingWatch
from core.deployment.tracing import TracingService, build_scorer
from core.deployment.upkeep import LogUpkeep
from core.monitoring.alerts import AlertService, Receiver
from core.monitoring.arrivals import Arrivals, LateLabels
from core.monitoring.checks import MonitoringService
from core.monitoring.reference import References
from core.monitoring.retrains import RetrainingService, TrainableRows
from core.monitoring.stored_batch import open_batch
from core.monitoring.watching import WatchService
from core.params import Params, load_params
from core.problems import load_problem
from core.problems.contract import Problem
from core.promotion.identity import Identities
from core.promotion.measuring import EvidenceService
from core.promotion.papers import Papers
from core.promotion.promotions import PromotionService
from core.promotion.settings_watch import SettingsWatch, in_force
from core.promotion.trail import AuditTrail
from core.rollout.conductor import Conductor
from core.rollout.notes import rollouts_folder
from core.rollout.service import RolloutService
from core.rollout.slo_watch import SloService, SloWatch
from core.scoring.bundle import bundles_folder
from core.services.health import HealthService
from core.settings import STORE_KEY_VARIABLES, Settings, be_impatient, load_settings
from core.training.experiments import ExperimentService
from core.training.runs import RunService
from core.training.sweeps import SweepService


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
    retraining: RetrainingService
    batches: BatchService
    labels: LabelService
    evidence: EvidenceService
    promotions: PromotionService
    rollouts: RolloutService
    conductor: Conductor
    papers: Papers
    alerts: AlertService
    monitoring: MonitoringService
    watch: WatchService
    serving: ServingService
    load: LoadService
    load_watch: LoadWatch
    slo: SloService
    slo_watch: SloWatch
    keys: KeyService
    tracing: TracingService
    reconciler: Reconciler
    serving_watch: ServingWatch
    upkeep: LogUpkeep
    health: HealthService
    audit: AuditTrail
    accounts: AccountService
    settings_watch: SettingsWatch

    @property
    def exposure(self) -> Exposure:
        """How far the installation is open at this moment."""
        return exposure_of(self.settings, self.accounts)


#: provider of a data set -> its reader.
PROVIDERS: Providers = {"nannyml": load_reference, "file": read_file_source}
#: provider of a data set -> reader of the rows that come after training, with their labels.
LATER_ROWS: Providers = {"nannyml": load_later}


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
    log = connect_log(settings, contracts)
    return Arrivals(log, LateLabels(connect_labels(settings)), connect_fetch(settings))


def connect_cluster(settings: Settings) -> RayCluster:
    """Builds the door to Ray's jobs."""
    # A cluster that we have not started knows nothing of this installation. It gets no secret:
    # its nodes have the key of the store by themselves, which a blank one, or a file that only
    # this machine has, would take from them.
    told = settings.without_secrets().variables() if settings.ray_address else {}
    keys = {each for name in STORE_KEY_VARIABLES for each in (name, f"{name}_FILE")}
    told = {name: value for name, value in told.items() if name not in keys}
    return RayCluster(settings.ray_dashboard_url, settings.ray_token_file, told)


def connect_labelled_rows(settings: Settings) -> ReadLabelled:
    """Builds the reader of the labelled rows of batches."""
    labels, fetch = connect_labels(settings), connect_fetch(settings)
    return partial(read_labelled, settings.home, labels, fetch=fetch)


def connect_trainable_rows(settings: Settings) -> TrainableRows:
    """Builds the counter of the rows of batches that may be learned from."""
    late, fetch = LateLabels(connect_labels(settings)), connect_fetch(settings)
    return lambda problem, batch_id: (
        open_batch(settings.home, problem, batch_id, late, fetch).trainable_rows
    )


@dataclass(frozen=True)
class Adapters:
    """The doors to everything outside this process."""

    database: Database
    tracker: RunTracker
    registry: ModelRegistry
    cluster: RayCluster
    serving: ServingService
    versions: DataVersions
    receiver: Receiver | None
    accounts: AccountRecords
    identities: Identities


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
    database = open_database(settings)
    accounts = AccountRecords(database)
    tracking = connect_tracking(settings)
    adapters = Adapters(
        database=database,
        tracker=tracking.tracker,
        registry=tracking.registry,
        cluster=connect_cluster(settings),
        serving=connect_serving(settings, params.serving, problems, database),
        versions=connect_batch_versions(settings),
        receiver=connect_receivers(settings, params),
        accounts=accounts,
        identities=People(accounts, has_login=settings.has_login),
    )
    return assemble(settings, params, problems, adapters)


def assemble(
    settings: Settings, params: Params, problems: Mapping[str, Problem], adapters: Adapters
) -> Pilothouse:
    """Puts the services together over adapters, real ones or a test's."""
    home, database, tracker = settings.home, adapters.database, adapters.tracker
    given = (settings, params, problems, adapters)
    deciding = assemble_deciding(*given, connect_labelled_rows(settings))
    promotions, trail = deciding.promotions, deciding.trail
    runs = RunService(params, problems, database, tracker, adapters.cluster, home, trail)
    references = References(promotions, tracker, home)
    records = BatchRecords(database)
    batches = BatchService(
        problems,
        records,
        adapters.versions,
        home,
        trail,
        params.intake,
        lambda problem: references.of(problem).table,
    )
    trainable = connect_trainable_rows(settings)
    watching = assemble_watching(*given, promotions, runs, trainable, trail)
    arrivals = connect_arrivals(settings, problems)
    labels = connect_labels(settings)
    return Pilothouse(
        settings=settings,
        params=params,
        problems=problems,
        database=database,
        runs=runs,
        experiments=ExperimentService(database, tracker, explain_by_fanova),
        sweeps=SweepService(params, problems, tracker, adapters.cluster, home, trail),
        batches=batches,
        labels=LabelService(
            problems, records, batches.rows, labels, arrivals.log, home, params.intake, trail
        ),
        evidence=deciding.evidence,
        promotions=promotions,
        rollouts=deciding.rollouts,
        conductor=assemble_conductor(*given, deciding.desk, watching.alerts, arrivals.log),
        papers=deciding.papers,
        alerts=watching.alerts,
        monitoring=watching.monitoring,
        retraining=watching.retraining,
        watch=watching.watch,
        serving=adapters.serving,
        load=LoadService(home, adapters.serving),
        load_watch=LoadWatch(home, adapters.serving),
        slo=deciding.slo,
        slo_watch=SloWatch(home, params.rollout.slo),
        keys=assemble_keys(problems, adapters, home, trail),
        tracing=TracingService(
            problems,
            arrivals.log,
            params.serving.inference_log,
            database,
            tracker,
            adapters.registry,
            promotions,
            deciding.desk.rollouts,
            build_scorer,
            bundles_folder(home),
        ),
        reconciler=deciding.reconciler,
        serving_watch=deciding.serving_watch,
        upkeep=LogUpkeep(
            arrivals.log,
            labels,
            params.serving.inference_log,
            trail,
            metrics_folder(home),
            rollouts_folder(home),
        ),
        health=HealthService(settings),
        audit=trail,
        accounts=AccountService(
            adapters.accounts,
            adapters.identities,
            trail,
            has_login=settings.has_login,
            is_exposed=not settings.is_loopback,
        ),
        settings_watch=SettingsWatch(trail, in_force(settings, params)),
    )
