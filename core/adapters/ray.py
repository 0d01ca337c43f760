"""Ray's jobs and nodes over the dashboard's REST interface; needs no Ray in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx

from core.adapters.ray_token import TokenFromFile
from core.errors import UnavailableError

TIMEOUT_S = 10.0
#: Ray itself waits so long for an agent before it takes a job, and takes it even if nobody waits.
SUBMIT_TIMEOUT_S = 30.0


class JobStatus(StrEnum):
    """Ray's words for where a job stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def is_over(self) -> bool:
        """Whether the job's process is gone."""
        return self not in (JobStatus.PENDING, JobStatus.RUNNING)


@dataclass(frozen=True)
class Node:
    """One living node and what Ray declares there."""

    host: str
    cpus: float
    memory_mb: float


class RayCluster:
    """Starts, watches and stops jobs; says what the cluster has.

    ``token_file`` holds Ray's token; ``None`` where Ray asks for none. ``environment`` is set in
    every job, on top of the cluster's own.
    """

    def __init__(
        self,
        dashboard_url: str,
        token_file: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = dict(environment or {})
        self._http = httpx.Client(
            base_url=dashboard_url,
            timeout=TIMEOUT_S,
            auth=TokenFromFile(token_file),
            # Proxy variables of the environment are for the outside world, not for our services.
            trust_env=False,
        )

    def submit(
        self, job_id: str, command: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """Starts ``command`` as a job; it survives whoever started it.

        ``environment`` is set on top of that of every job.

        Raises:
            UnavailableError: Ray does not take the job, or has not said in time that it does.
        """
        body = {
            "entrypoint": command,
            "submission_id": job_id,
            "runtime_env": {"env_vars": {**self._environment, **(environment or {})}},
        }
        _checked(self._send("POST", "/api/jobs/", body, timeout_s=SUBMIT_TIMEOUT_S))

    def status(self, job_id: str) -> JobStatus | None:
        """Where a job stands; ``None`` when the cluster knows no such job."""
        response = self._send("GET", f"/api/jobs/{job_id}", None)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return JobStatus(_checked(response).json()["status"])

    def stop(self, job_id: str) -> None:
        """Asks a job to end; Ray kills it after a few seconds. One that is gone is fine."""
        response = self._send("POST", f"/api/jobs/{job_id}/stop", None)
        if response.status_code != httpx.codes.NOT_FOUND:
            _checked(response)

    def logs(self, job_id: str) -> str:
        """What a job has printed."""
        return str(self._request("GET", f"/api/jobs/{job_id}/logs", None)["logs"])

    def nodes(self) -> Sequence[Node]:
        """Living nodes."""
        data = self._request("GET", "/api/v0/nodes?detail=1&limit=1000", None)
        rows: list[dict[str, Any]] = data["data"]["result"]["result"]
        return [
            Node(
                host=row["node_ip"],
                cpus=float(row["resources_total"].get("CPU", 0)),
                memory_mb=float(row["resources_total"].get("memory", 0)) / 2**20,
            )
            for row in rows
            if row["state"] == "ALIVE"
        ]

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _request(self, method: str, path: str, body: object) -> Any:
        return _checked(self._send(method, path, body)).json()

    def _send(
        self, method: str, path: str, body: object, timeout_s: float = TIMEOUT_S
    ) -> httpx.Response:
        try:
            return self._http.request(method, path, json=body, timeout=timeout_s)
        except httpx.HTTPError as exc:
            raise UnavailableError(
                "Ray does not answer.", fix="Run `make status`, then `make up`."
            ) from exc


def _checked(response: httpx.Response) -> httpx.Response:
    if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise UnavailableError(
            "Ray does not know our token, so it may belong to another installation.",
            fix="Look with `make status` whether another program took the port.",
        )
    if response.is_error:
        raise UnavailableError(
            f"Ray refused with status {response.status_code}.",
            fix="Look at Ray's dashboard and at logs/ray.log.",
        )
    return response
