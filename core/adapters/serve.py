"""Ray Serve's REST interface on the dashboard port; needs no Ray in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from core.access.admission import Admission
from core.adapters.ray_token import TokenFromFile
from core.deployment.endpoint import APPLICATION, DEPLOYMENT, HttpOptions, ServeConfig
from core.deployment.scaling import Replica, ReplicaSet, ScalingPolicy
from core.domain_serving import Health
from core.errors import SetupError, UnavailableError

APPLICATIONS = "/api/serve/applications/"
STATUS_TIMEOUT_S = 10.0
#: The first deployment starts Serve's controller and proxy before it answers.
DEPLOY_TIMEOUT_S = 120.0
_DETAIL_LENGTH = 300

_HEALTH = {
    "RUNNING": Health.HEALTHY,
    "DEPLOYING": Health.STARTING,
    "NOT_STARTED": Health.STARTING,
}


@dataclass(frozen=True)
class ServeState:
    """The application as Ray Serve's controller sees it.

    ``settled`` says that every replica has been given the configuration last put, and that
    none is starting or on its way out. ``replica_ids`` are those that run. ``is_blank`` says
    that what was put last tells replicas nothing, as KubeRay's word for a RayService does:
    those that run go on with what they have, one that starts has no model.
    """

    health: Health
    replicas: int
    settled: bool
    detail: str = ""
    replica_ids: frozenset[str] = frozenset()
    is_blank: bool = False


class ServeClient:
    """Puts a configuration to Ray Serve and reads its state.

    ``token_file`` holds Ray's token; ``None`` where Ray asks for none.
    """

    def __init__(
        self,
        dashboard_url: str,
        token_file: Path | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=dashboard_url,
            auth=TokenFromFile(token_file),
            transport=transport,
            # Proxy variables of the environment are for the outside world, not for our services.
            trust_env=False,
        )

    def deploy(self, config: ServeConfig) -> None:
        """Tells Ray Serve to run ``config``; returns before replicas have followed.

        Raises:
            UnavailableError: Ray does not answer or cannot start Serve.
            SetupError: Ray Serve refuses the configuration.
        """
        self._put(config.model_dump(mode="json"))

    def _put(self, body: Mapping[str, Any]) -> None:
        response = self._send("PUT", DEPLOY_TIMEOUT_S, json=body)
        if response.status_code == httpx.codes.BAD_REQUEST:
            raise SetupError(
                f"Ray Serve refused the configuration: {_last_line(response.text)}",
                fix="Correct the section serving of params.yaml.",
            )
        if response.is_error:
            raise UnavailableError(
                f"Ray could not start Serve: {_last_line(response.text)}",
                fix="Run `make status`, then `make up`.",
            )

    def change_access(self, access: Admission, http: HttpOptions) -> bool:
        """Puts what runs again with another ``access``; says whether it was another.

        Everything else stays as it is, so no registry is asked and no model loaded. Where
        nothing is deployed, or nothing is told to replicas, there is nothing to change.

        Raises:
            UnavailableError: Ray does not answer.
            SetupError: Ray Serve refuses the configuration.
        """
        wanted = access.model_dump(mode="json")
        application = self._deployed()
        if application is None:
            return False
        try:
            if _is_blank(application):
                return False
            (deployment,) = application["deployments"]
            if deployment["user_config"].get("access") == wanted:
                return False
            deployment["user_config"]["access"] = wanted
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise _unreadable() from exc
        frame = ServeConfig(http_options=http, applications=())
        self._put(frame.model_dump(mode="json") | {"applications": [application]})
        return True

    def status(self) -> ServeState:
        """The application's state.

        Raises:
            UnavailableError: Ray does not answer.
        """
        try:
            return _state_of(self._application())
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise _unreadable() from exc

    def replica_set(self) -> ReplicaSet | None:
        """Replicas, how many there should be and by which policy; ``None`` with nothing deployed.

        Raises:
            UnavailableError: Ray does not answer.
        """
        try:
            application = self._application()
            deployed = (application or {}).get("deployments", {}).get(DEPLOYMENT)
            return None if deployed is None else _replica_set_of(deployed)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise _unreadable() from exc

    def shutdown(self) -> None:
        """Ends Serve: replicas, proxy and controller. Nothing to do is fine.

        A Ray head that is stopped while Serve runs waits half a minute for it.

        Raises:
            UnavailableError: Ray does not answer or cannot end Serve.
        """
        response = self._send("DELETE", DEPLOY_TIMEOUT_S)
        if response.is_error:
            raise UnavailableError(f"Ray could not end Serve: {_last_line(response.text)}")

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _deployed(self) -> dict[str, Any] | None:
        """The configuration of our application that was put last; ``None`` without one."""
        application = self._application()
        return None if application is None else application.get("deployed_app_config")

    def _application(self) -> Mapping[str, Any] | None:
        response = self._send("GET", STATUS_TIMEOUT_S)
        if response.is_error:
            raise UnavailableError(
                f"Ray Serve's controller does not answer: {_last_line(response.text)}",
                fix="Run `make status`, then `make up`.",
            )
        try:
            found: Mapping[str, Any] | None = response.json()["applications"].get(APPLICATION)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise _unreadable() from exc
        return found

    def _send(self, method: str, timeout_s: float, json: object = None) -> httpx.Response:
        try:
            response = self._http.request(method, APPLICATIONS, json=json, timeout=timeout_s)
        except httpx.HTTPError as exc:
            raise UnavailableError(
                "Ray's dashboard does not answer.", fix="Run `make status`, then `make up`."
            ) from exc
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise UnavailableError(
                "Ray does not know our token, so it may belong to another installation.",
                fix="Look with `make status` whether another program took the port.",
            )
        return response


def _unreadable() -> UnavailableError:
    return UnavailableError("Ray answers with something other than Serve's state.")


def _state_of(application: Mapping[str, Any] | None) -> ServeState:
    if application is None:
        return ServeState(Health.DOWN, 0, settled=False, detail="No model is deployed.")
    deployment = application["deployments"].get(DEPLOYMENT, {})
    running = [r for r in deployment.get("replicas", ()) if r["state"] == "RUNNING"]
    problem = deployment.get("message") or application["message"]
    return ServeState(
        health=_HEALTH.get(application["status"], Health.DOWN),
        replicas=len(running),
        settled=application["status"] == "RUNNING" and deployment.get("status") == "HEALTHY",
        detail=_last_line(problem),
        replica_ids=frozenset(r["replica_id"] for r in running),
        is_blank=_is_blank(application.get("deployed_app_config")),
    )


def _is_blank(config: Mapping[str, Any] | None) -> bool:
    """Whether a configuration that was put tells replicas nothing."""
    deployments = (config or {}).get("deployments") or ()
    return bool(deployments) and not any(one.get("user_config") for one in deployments)


def _replica_set_of(deployed: Mapping[str, Any]) -> ReplicaSet:
    scaling = deployed["deployment_config"]["autoscaling_config"]
    policy = ScalingPolicy(
        min_replicas=scaling["min_replicas"],
        max_replicas=scaling["max_replicas"],
        target_ongoing_requests=scaling["target_ongoing_requests"],
        look_back_s=scaling["look_back_period_s"],
        upscale_delay_s=scaling["upscale_delay_s"],
        downscale_delay_s=scaling["downscale_delay_s"],
    )
    replicas = (
        Replica(
            one["replica_id"],
            one["state"].lower().replace("_", " "),
            datetime.fromtimestamp(one["start_time_s"], UTC),
        )
        for one in deployed["replicas"]
    )
    oldest_first = tuple(sorted(replicas, key=lambda one: (one.started_at, one.id)))
    return ReplicaSet(deployed["target_num_replicas"], oldest_first, policy)


def _last_line(text: str) -> str:
    """The line of a vendor's message that says what went wrong: the end of its stack trace."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:_DETAIL_LENGTH] if lines else ""
