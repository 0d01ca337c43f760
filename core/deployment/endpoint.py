"""What Ray Serve is told to run: pure values, built here and read by ``serve/``.

``application_config`` gives the body of ``PUT /api/serve/applications/``. Two
configurations that differ in ``user_config`` alone are switched by Ray Serve in
place: same processes, no failed request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import Field, model_validator

from core.access.admission import Admission
from core.frozen import Frozen
from core.params import ServingParams
from core.params_inference import InferenceLogParams
from core.scoring.bundle import BundleRef

APPLICATION = "pilothouse"
DEPLOYMENT = "endpoint"
#: The core names the server by this text only and never imports it.
IMPORT_PATH = "serve.deployment:application"


class Beside(Frozen):
    """A second version that a replica holds, and what for; see ``core.rollout``.

    ``share`` is the share of requests, 0 to 1, that a canary answers, or that a shadow scores as
    well. In the last step of a canary the new version is Production and the one before is held
    beside it with a share of 0, so that going back loads nothing.
    """

    rollout: str
    kind: Literal["shadow", "canary"]
    step: int = Field(ge=0)
    share: float = Field(ge=0, le=1)
    model: BundleRef
    #: Of a shadow: requests that may wait, and records that disagree most which are kept.
    queue_requests: int = Field(default=1, ge=1)
    examples: int = Field(default=0, ge=0)


class ProblemModels(Frozen):
    """Versions of one problem that a replica holds."""

    production: BundleRef
    beside: Beside | None = None


#: What replicas hold beside Production where there is no rollout.
NOTHING_BESIDE: Mapping[str, Beside] = MappingProxyType({})


class InferenceLogConfig(Frozen):
    """Where answered predictions are kept, and how."""

    folder: Path
    log: InferenceLogParams


class EndpointConfig(Frozen):
    """The ``user_config``: everything a replica knows, since it reads no environment."""

    #: Problem name -> its versions.
    models: Mapping[str, ProblemModels]
    #: Folder in which fetched bundles are kept.
    cache: Path
    #: Folder of versions that have served well on this machine. ``None`` in what an earlier
    #: release has put: a replica that starts before the next deployment keeps none.
    good_models: Path | None = None
    #: Python packages that hold problems, in order of search.
    packages: tuple[str, ...] = Field(min_length=1)
    inference: InferenceLogConfig
    #: Folder of late labels.
    labels: Path
    #: Folder in which every process tells what it has counted.
    metrics: Path
    #: Folder of what replicas note of rollouts. ``None`` in what an earlier release has put.
    rollouts: Path | None = None
    #: Who is answered. It changes by itself when keys do, and loads no model anew.
    access: Admission
    max_records: int = Field(ge=1)
    max_body_mb: int = Field(ge=1)

    @model_validator(mode="after")
    def _named_by_problem(self) -> EndpointConfig:
        for name, models in self.models.items():
            refs = [models.production, *([models.beside.model] if models.beside else [])]
            for ref in refs:
                if ref.problem != name:
                    raise ValueError(f"{name} is given a model of {ref.problem}")
        return self

    @property
    def max_body_bytes(self) -> int:
        """Largest request body in bytes."""
        return self.max_body_mb * 1024 * 1024


class HttpOptions(Frozen):
    """Where Ray's proxy listens; fixed once Serve has started."""

    host: str
    port: int
    #: By which Ray's own proxy speaks TLS; ``None`` where it does not, or HAProxy does.
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None


class Autoscaling(Frozen):
    """Ray Serve's autoscaling, by requests in flight; all but the last is in ``params.yaml``."""

    min_replicas: int
    max_replicas: int
    target_ongoing_requests: float
    upscale_delay_s: float
    downscale_delay_s: float
    look_back_period_s: float
    #: How often a replica tells the controller its count. With Ray's 10 s, as long as the period
    #: that is averaged, a decision would rest on numbers from before the load.
    metrics_interval_s: float = 2.0


class ActorOptions(Frozen):
    """What a replica reserves. Zero CPUs: Spark's executors need all that Ray declares."""

    num_cpus: float = 0.0


class Logging(Frozen):
    """What Ray Serve itself logs in a replica: no line a request.

    The inference log and the metrics say more of a request than such a line, which costs a
    tenth of an answer.
    """

    log_level: Literal["WARNING"] = "WARNING"
    enable_access_log: Literal[False] = False


class Deployment(Frozen):
    """Ray Serve's description of the one deployment.

    The shutdown times are those that let a replica go without a failed request.
    """

    name: str = DEPLOYMENT
    autoscaling_config: Autoscaling
    max_ongoing_requests: int
    graceful_shutdown_wait_loop_s: float = 0.5
    graceful_shutdown_timeout_s: float = 8.0
    ray_actor_options: ActorOptions = ActorOptions()
    logging_config: Logging = Logging()
    user_config: EndpointConfig


class Application(Frozen):
    """Ray Serve's description of the one application."""

    name: str = APPLICATION
    route_prefix: str = "/"
    import_path: str = IMPORT_PATH
    deployments: tuple[Deployment, ...]


class ServeConfig(Frozen):
    """The whole body of ``PUT /api/serve/applications/``."""

    proxy_location: Literal["HeadOnly"] = "HeadOnly"
    http_options: HttpOptions
    applications: tuple[Application, ...]


@dataclass(frozen=True)
class Places:
    """Folders that replicas use: models fetched and proven, logs, labels, metrics, rollouts."""

    cache: Path
    good_models: Path
    inference: Path
    labels: Path
    metrics: Path
    rollouts: Path


def application_config(
    params: ServingParams,
    http: HttpOptions,
    *,
    places: Places,
    packages: Sequence[str],
    models: Mapping[str, BundleRef],
    access: Admission,
    beside: Mapping[str, Beside] = NOTHING_BESIDE,
) -> ServeConfig:
    """Returns what Ray Serve should run.

    Args:
        params: replicas and limits.
        http: where the proxy listens.
        places: folders, the same on every node that runs a replica.
        packages: Python packages that hold problems.
        models: problem name -> the version in production.
        access: who is answered.
        beside: problem name -> the second version that replicas hold; one of a problem that
            is not in ``models`` is left out.
    """
    user_config = EndpointConfig(
        models={
            name: ProblemModels(production=ref, beside=beside.get(name))
            for name, ref in sorted(models.items())
        },
        cache=places.cache,
        good_models=places.good_models,
        packages=tuple(packages),
        inference=InferenceLogConfig(folder=places.inference, log=params.inference_log),
        labels=places.labels,
        metrics=places.metrics,
        rollouts=places.rollouts,
        access=access,
        max_records=params.max_records,
        max_body_mb=params.max_body_mb,
    )
    autoscaling = Autoscaling(
        min_replicas=params.min_replicas,
        max_replicas=params.max_replicas,
        target_ongoing_requests=params.target_ongoing_requests,
        upscale_delay_s=params.upscale_delay_s,
        downscale_delay_s=params.downscale_delay_s,
        look_back_period_s=params.look_back_s,
    )
    deployment = Deployment(
        autoscaling_config=autoscaling,
        max_ongoing_requests=params.max_ongoing_requests,
        user_config=user_config,
    )
    return ServeConfig(http_options=http, applications=(Application(deployments=(deployment,)),))
