"""A closed loop of clients by wrk: each asks again as soon as it has its answer.

wrk is one process of C, so that it takes little of the cores that it shares with what it
measures.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_SCRIPT = Path(__file__).with_name("post.lua")
_GRACE_S = 60.0


class Load(BaseModel):
    """What one run of wrk found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Answers, whatever their status.
    requests: int
    seconds: float
    #: Answers other than 2xx and 3xx, connections that broke, and requests that timed out.
    failed: int
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def requests_per_s(self) -> float:
        """Answers a second over all clients."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Workload:
    """So many clients, each with the same body of so many records."""

    clients: int
    records: int


def drive(url: str, body: Path, clients: int, seconds: float) -> Load:
    """Posts ``body`` for that long.

    Raises:
        RuntimeError: wrk is not there or failed.
    """
    if shutil.which("wrk") is None:
        raise RuntimeError(
            "The serving benchmark needs wrk; install it (on Debian: apt-get install wrk)."
        )
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "30s"]
    done = subprocess.run(
        [*command, "-s", str(_SCRIPT), url, "--", str(body)],
        capture_output=True,
        text=True,
        timeout=seconds + _GRACE_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"wrk failed: {done.stdout}{done.stderr}")
    return Load.model_validate_json(done.stdout.splitlines()[-1])
