"""Health check of a container: whether the one service in it does its work.

Light on purpose, because it runs again and again; ``pilothouse status`` tells more.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
from pathlib import Path
from urllib.request import urlopen

TIMEOUT_S = 5
#: The worker beats at least every 5 s.
BEAT_S = 20
#: Of the ports that an installation has chosen, that of the agent of Ray's head; see
#: ``core/services/ports.py``.
AGENT = 5
HOME = Path(os.environ["PILOTHOUSE_HOME"])
HOST = os.environ.get("PILOTHOUSE_HOST", "127.0.0.1").replace("0.0.0.0", "127.0.0.1")  # noqa: S104
INSIDE = os.environ.get("PILOTHOUSE_CLUSTER_HOST", "127.0.0.1")
SCHEME = "https" if os.environ.get("PILOTHOUSE_TLS_CERT_FILE") else "http"
URLS = {
    "ray": ("http", INSIDE, "RAY_DASHBOARD_PORT", "8265", "api/gcs_healthz"),
    "mlflow": ("http", INSIDE, "MLFLOW_PORT", "5000", "health"),
    "panel": (SCHEME, HOST, "PANEL_PORT", "8501", "_stcore/health"),
}


def look(service: str) -> None:
    """Raises where the service does not answer, which is a failure to the container engine."""
    if service == "worker":
        age_s = time.time() - (HOME / "run" / "worker.heartbeat").stat().st_mtime
        if age_s > BEAT_S:
            raise TimeoutError(f"the worker was last seen {age_s:.0f} s ago")
        return
    if service == "ray":
        # The control store answers before there is a node.
        first = json.loads((HOME / "ports.json").read_text(encoding="utf-8"))["first"]
        ask(f"http://{INSIDE}:{first + AGENT}/api/local_raylet_healthz")
    scheme, host, setting, port, path = URLS[service]
    ask(f"{scheme}://{host}:{os.environ.get(f'PILOTHOUSE_{setting}', port)}/{path}")


def ask(url: str) -> None:
    """Raises unless an address answers."""
    # Asks whether our own servers live, not who they are.
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    urlopen(url, timeout=TIMEOUT_S, context=unverified).close()  # noqa: S310 - our own address


if __name__ == "__main__":
    look(sys.argv[1])
