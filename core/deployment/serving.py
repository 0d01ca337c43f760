"""What the panel and the command line do with the served models: look, ask, deploy."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from core.access.key_ring import KeyRing
from core.adapters.serve import ServeClient
from core.data.labels import labels_folder
from core.deployment.answers import Described, Detail, Predicted, Ready, ReadyProblem, Refused
from core.deployment.endpoint import HttpOptions, Places, application_config
from core.deployment.inference_log import inference_folder
from core.deployment.metrics import metrics_folder
from core.domain import Health, PredictionAnswer, ServedVersion, ServingStatus
from core.errors import (
    InvalidInputError,
    NotFoundError,
    Offence,
    PilothouseError,
    UnavailableError,
)
from core.hosts import LOOPBACK
from core.kept_files import locked
from core.params import ServingParams
from core.problems.contract import Value
from core.scoring.bundle import BundleRef, bundles_folder
from core.services.certificate import own_clients
from core.settings import Settings

REQUEST_TIMEOUT_S = 30.0
#: A status must be quick: the panel draws it on every page.
STATUS_TIMEOUT_S = 5.0
POLL_S = 0.2
_FIX = "Run `make status`, then `make up`."
_PLACE = re.compile(r"^records\[(\d+)\]\.?(.*)$", re.DOTALL)


_Model = TypeVar("_Model", bound=BaseModel)


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
        self._problems = tuple(problems)
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

    def status(self) -> ServingStatus:
        """Health, replicas and served versions; being down is a value, not an error."""
        try:
            state = self._client.status()
        except UnavailableError as exc:
            return ServingStatus(Health.DOWN, 0, (), str(exc))
        try:
            ready = self._ready()
            served = self._served()
        except PilothouseError as exc:
            health = Health.STARTING if state.health is Health.STARTING else Health.DOWN
            return ServingStatus(health, state.replicas, (), state.detail or exc.message)
        said = [f"{name}: {failure}" for name, failure in ready.failures().items()]
        detail = " ".join([*said, ready.inference_log.said()]).strip()
        health = Health.HEALTHY if served else Health.DOWN
        return ServingStatus(health, state.replicas, served, detail, ready.failures())

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
        _raise_for(response)
        answer = _read(Predicted, response)
        if len(answer.predictions) != 1:
            raise UnavailableError("The server answered with another number of records.", fix=_FIX)
        (prediction,) = answer.predictions
        return PredictionAnswer(
            request_id=answer.request_id,
            model_version=answer.model_version,
            label=prediction.label,
            probability=prediction.probability,
            latency_ms=latency_ms,
        )

    def deploy(self, models: Mapping[str, BundleRef]) -> None:
        """Tells Ray Serve which versions to serve; ``wait_until_serving`` sees it through.

        Replicas that run already load the new versions beside the old ones and switch
        with no failed request. A problem that ``models`` leaves out is dropped.

        Raises:
            UnavailableError: Ray does not answer.
            SetupError: Ray Serve refuses the configuration.
        """
        settings = self._settings
        places = Places(
            cache=bundles_folder(settings.home),
            inference=inference_folder(settings.home),
            labels=labels_folder(settings.home),
            metrics=metrics_folder(settings.home),
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
                served = self._settled_version(problem)
                reason = f"Version {served} answers."
            except _LoadError:
                raise
            except PilothouseError as exc:
                served, reason = None, exc.message
            if served == version:
                return
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{problem} v{version} does not serve after {timeout_s:g} s: {reason}",
                    fix=_FIX,
                )
            time.sleep(POLL_S)

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
        # Our launcher of HAProxy opens it where the settings say: core/services/haproxy.py.
        return HttpOptions(host=LOOPBACK, port=self._settings.serving_port)

    def _served(self) -> tuple[ServedVersion, ...]:
        found = []
        for problem in self._problems:
            response = self._send("GET", f"/problems/{problem}", STATUS_TIMEOUT_S)
            # A problem without a loaded model is told by /readyz, not here.
            if response.is_success:
                found.append(ServedVersion(**_read(Described, response).model_dump()))
        return tuple(found)

    def _settled_version(self, problem: str) -> int:
        """The version that every replica holds; raises while that cannot be said."""
        if not self._client.status().settled:
            raise UnavailableError("Ray Serve is still rolling it out.")
        failure = self._ready().failures().get(problem)
        if failure:
            raise _LoadError(f"The new version of {problem} cannot be loaded: {failure}")
        response = self._send("GET", f"/problems/{problem}", STATUS_TIMEOUT_S)
        _raise_for(response)
        return _read(Described, response).version

    def _ready(self) -> Ready:
        response = self._send("GET", "/readyz", STATUS_TIMEOUT_S)
        if response.is_success:
            return _read(Ready, response)
        details = _read(Refused, response).error.details
        return Ready(problems={d.field: ReadyProblem(failure=d.problem) for d in details})

    def _send(
        self, method: str, path: str, timeout_s: float, json: object = None
    ) -> httpx.Response:
        headers = {}
        if self._keys.required:
            headers["Authorization"] = f"Bearer {self._keys.own_token()}"
        try:
            return self._http.request(method, path, json=json, headers=headers, timeout=timeout_s)
        except httpx.HTTPError as exc:
            raise UnavailableError("The served models do not answer.", fix=_FIX) from exc


class _LoadError(UnavailableError):
    """Waiting is of no use: the version was tried and cannot be loaded."""


def _require_finite(record: Mapping[str, Value | None]) -> None:
    """JSON has no word for NaN and infinity, so they are refused before they are sent."""
    offences = [
        Offence(name, "must be finite", 0)
        for name, value in record.items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
    if offences:
        raise InvalidInputError("Every number must be finite.", offences=offences)


def _raise_for(response: httpx.Response) -> None:
    """Turns an error of the server into ours."""
    if response.is_success:
        return
    error = _read(Refused, response).error
    if response.status_code == httpx.codes.NOT_FOUND:
        raise NotFoundError(error.message, fix="Train and promote a model first.")
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise UnavailableError(
            "The served models do not know this installation's own key yet.",
            fix="The worker tells them within seconds; try again.",
        )
    if response.is_client_error:
        offences = [_offence(detail) for detail in error.details]
        raise InvalidInputError(error.message, offences=offences)
    raise UnavailableError(error.message, fix=_FIX)


def _offence(detail: Detail) -> Offence:
    place = _PLACE.match(detail.field)
    if place is None:
        return Offence(detail.field, detail.problem)
    return Offence(place[2], detail.problem, int(place[1]))


def _read(model: type[_Model], response: httpx.Response) -> _Model:
    try:
        return model.model_validate_json(response.content)
    except ValidationError as exc:
        raise UnavailableError(
            f"Something other than our server answers with status {response.status_code}.",
            fix="Look with `make status` whether another program took the port.",
        ) from exc
