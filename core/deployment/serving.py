"""What the panel and the command line do with the served models: look, ask, deploy."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import httpx

from core.access.key_ring import KeyRing
from core.adapters.serve import ServeClient
from core.data.labels import labels_folder
from core.deployment.answers import Predicted
from core.deployment.calls import FIX, raise_refusal, read_answer
from core.deployment.endpoint import (
    NOTHING_BESIDE,
    Beside,
    HttpOptions,
    Places,
    application_config,
)
from core.deployment.inference_log import inference_folder
from core.deployment.metrics import metrics_folder
from core.deployment.replicas import LoadError, Replicas
from core.deployment.scaling import ReplicaSet
from core.domain_serving import PredictionAnswer, ServingStatus
from core.errors import (
    InvalidInputError,
    Offence,
    PilothouseError,
    UnavailableError,
)
from core.hosts import LOOPBACK
from core.kept_files import locked
from core.params import ServingParams
from core.problems.contract import Value
from core.rollout.notes import rollouts_folder
from core.scoring.bundle import BundleRef, bundles_folder
from core.scoring.good_models import good_models_folder
from core.services.certificate import own_clients
from core.settings import Settings

REQUEST_TIMEOUT_S = 30.0
#: A status must be quick: the panel draws it on every page.
STATUS_TIMEOUT_S = 5.0
POLL_S = 0.2


class ServingService:
    """The served models as seen from outside, over HTTP like every caller."""

    def __init__(
        self,
        settings: Settings,
        params: ServingParams,
        client: ServeClient,
        problems: Sequence[str],
        keys: KeyRing,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._params = params
        self._client = client
        self._keys = keys
        self._lock_file = settings.home / "run" / "deploy"
        # Proxy variables of the environment are for the outside world, not for our services.
        self._http = httpx.Client(
            base_url=settings.serving_url,
            timeout=REQUEST_TIMEOUT_S,
            transport=transport,
            verify=own_clients(settings),
            trust_env=False,
        )
        self._replicas = Replicas(client, problems, self._get)

    def status(self) -> ServingStatus:
        """Health, replicas and served versions; being down is a value, not an error."""
        return self._replicas.status()

    def predict(self, problem: str, record: Mapping[str, Value | None]) -> PredictionAnswer:
        """Asks the served model about one record.

        Raises:
            InvalidInputError: the record breaks the contract; every field is named.
            NotFoundError: no model is served for the problem.
            UnavailableError: the server does not answer.
        """
        _require_finite(record)
        body = {"records": [dict(record)]}
        started = time.perf_counter()
        response = self._send("POST", f"/predict/{problem}", REQUEST_TIMEOUT_S, json=body)
        latency_ms = (time.perf_counter() - started) * 1000.0
        raise_refusal(response)
        answer = read_answer(Predicted, response)
        if len(answer.predictions) != 1:
            raise UnavailableError("The server answered with another number of records.", fix=FIX)
        (prediction,) = answer.predictions
        return PredictionAnswer(
            request_id=answer.request_id,
            model_version=answer.model_version,
            label=prediction.label,
            probability=prediction.probability,
            latency_ms=latency_ms,
        )

    def deploy(
        self, models: Mapping[str, BundleRef], beside: Mapping[str, Beside] = NOTHING_BESIDE
    ) -> None:
        """Tells Ray Serve which versions to serve; ``wait_until_serving`` sees it through.

        Replicas that run already load the new versions beside the old ones and switch
        with no failed request. A problem that ``models`` leaves out is dropped.

        Args:
            models: problem -> the version in production.
            beside: problem -> the second version of a rollout.

        Raises:
            UnavailableError: Ray does not answer.
            SetupError: Ray Serve refuses the configuration.
        """
        settings = self._settings
        places = Places(
            cache=bundles_folder(settings.home),
            good_models=good_models_folder(settings.home),
            inference=inference_folder(settings.home),
            labels=labels_folder(settings.home),
            metrics=metrics_folder(settings.home),
            rollouts=rollouts_folder(settings.home),
        )
        # Keys are read under the lock: whoever deploys last has the newest.
        with locked(self._lock_file):
            config = application_config(
                self._params,
                self._http_options,
                places=places,
                packages=settings.packages,
                models=models,
                access=self._keys.admission(),
                beside=beside,
            )
            self._client.deploy(config)

    def hand_out_keys(self) -> bool:
        """Gives replicas the keys of now; says whether they had others.

        What is deployed stays as it is otherwise, so nothing but the database and Ray has
        to be up. Replicas follow within seconds, without a failed request.

        Raises:
            UnavailableError: Ray or the database do not answer.
            SetupError: Ray Serve refuses the configuration.
        """
        with locked(self._lock_file):
            return self._client.change_access(self._keys.admission(), self._http_options)

    def wait_until_serving(self, problem: str, version: int, timeout_s: float) -> None:
        """Returns once every replica answers with ``version``.

        Raises:
            UnavailableError: the version cannot be loaded (told at once, the version
                before it goes on serving), or it does not serve in time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                served = self._replicas.settled_version(problem)
                reason = f"Version {served} answers."
            except LoadError:
                raise
            except PilothouseError as exc:
                served, reason = None, exc.message
            if served == version:
                return
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{problem} v{version} does not serve after {timeout_s:g} s: {reason}",
                    fix=FIX,
                )
            time.sleep(POLL_S)

    def replica_set(self) -> ReplicaSet | None:
        """Replicas and how they are scaled; ``None`` where nothing is deployed.

        Raises:
            UnavailableError: Ray does not answer.
        """
        return self._client.replica_set()

    def shutdown(self) -> None:
        """Ends Serve, so that Ray can be stopped at once.

        Raises:
            UnavailableError: Ray does not answer.
        """
        self._client.shutdown()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()
        self._client.close()

    @property
    def _http_options(self) -> HttpOptions:
        settings = self._settings
        port = settings.serving_port
        if settings.serving_proxy == "haproxy":  # which core/services/haproxy.py opens
            return HttpOptions(host=LOOPBACK, port=port)
        return HttpOptions(
            host=settings.host,
            port=port,
            ssl_certfile=settings.tls_cert_file or None,
            ssl_keyfile=settings.tls_key_file or None,
        )

    def _get(self, path: str) -> httpx.Response:
        return self._send("GET", path, STATUS_TIMEOUT_S)

    def _send(
        self, method: str, path: str, timeout_s: float, json: object = None
    ) -> httpx.Response:
        headers = {}
        if self._keys.required:
            headers["Authorization"] = f"Bearer {self._keys.own_token()}"
        try:
            return self._http.request(method, path, json=json, headers=headers, timeout=timeout_s)
        except httpx.HTTPError as exc:
            raise UnavailableError("The served models do not answer.", fix=FIX) from exc


def _require_finite(record: Mapping[str, Value | None]) -> None:
    """JSON has no word for NaN and infinity, so they are refused before they are sent."""
    offences = [
        Offence(name, "must be finite", 0)
        for name, value in record.items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
    if offences:
        raise InvalidInputError("Every number must be finite.", offences=offences)
