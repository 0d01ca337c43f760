"""What Ray Serve is told to run: pure values, built here and read by ``serve/``.

``application_config`` gives the body of ``PUT /api/serve/applications/``. Two
configurations that differ in ``user_config`` alone are switched by Ray Serve in
place: same processes, no failed request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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


class ProblemModels(Frozen):
    """Versions of one problem that a replica holds."""

    production: BundleRef


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
    #: Python packages that hold problems, in order of search.
    packages: tuple[str, ...] = Field(min_length=1)
    inference: InferenceLogConfig
    #: Folder of late labels.
    labels: Path
    #: Folder in which every process tells what it has counted.
    metrics: Path
    #: Who is answered. It changes by itself when keys do, and loads no model anew.
    access: Admission
    max_records: int = Field(ge=1)
    max_body_mb: int = Field(ge=1)

    @model_validator(mode="after")
    def _named_by_problem(self) -> EndpointConfig:
        for name, models in self.models.items():
            if models.production.problem != name:
                raise ValueError(f"{name} is given a model of {models.production.problem}")
        return self

    @property
    def max_body_bytes(self) -> int:
        """Largest request body in bytes."""
        return self.max_body_mb * 1024 * 1024


class HttpOptions(Frozen):
    """Where Ray's proxy listens; fixed once Serve has started."""

    host: str
    port: int


class Autoscaling(Frozen):
    """Ray Serve's autoscaling; delays are far below Ray's, which suit machines, not replicas.

    A replica needs no CPU of its own and is up in seconds, so it may come after
    five seconds of load and go after a minute without.
    """

    min_replicas: int
    max_replicas: int
    target_ongoing_requests: int
    upscale_delay_s: float = 5.0
    downscale_delay_s: float = 60.0
    look_back_period_s: float = 10.0


class ActorOptions(Frozen):
    """What a replica reserves. Zero CPUs: Spark's executors need all that Ray declares."""

    num_cpus: float = 0.0


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
    """Folders that replicas use: fetched bundles, the inference log, late labels, metrics."""

    cache: Path
    inference: Path
    labels: Path
    metrics: Path


def application_config(
    params: ServingParams,
    http: HttpOptions,
    *,
    places: Places,
    packages: Sequence[str],
    models: Mapping[str, BundleRef],
    access: Admission,
) -> ServeConfig:
    """Returns what Ray Serve should run.

    Args:
        params: replicas and limits.
        http: where the proxy listens.
        places: folders, the same on every node that runs a replica.
        packages: Python packages that hold problems.
        models: problem name -> the version in production.
        access: who is answered.
    """
    user_config = EndpointConfig(
        models={name: ProblemModels(production=ref) for name, ref in sorted(models.items())},
        cache=places.cache,
        packages=tuple(packages),
        inference=InferenceLogConfig(folder=places.inference, log=params.inference_log),
        labels=places.labels,
        metrics=places.metrics,
        access=access,
        max_records=params.max_records,
        max_body_mb=params.max_body_mb,
    )
    autoscaling = Autoscaling(
        min_replicas=params.min_replicas,
        max_replicas=params.max_replicas,
        target_ongoing_requests=params.target_ongoing_requests,
    )
    deployment = Deployment(
        autoscaling_config=autoscaling,
        max_ongoing_requests=params.max_ongoing_requests,
        user_config=user_config,
    )
    return ServeConfig(http_options=http, applications=(Application(deployments=(deployment,)),))
