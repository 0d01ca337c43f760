"""Health check of a container: whether the one service in it does its work.

Light on purpose, because it runs again and again; ``pilothouse status`` tells more.
"""

from __future__ import annotations

import os
import ssl
import sys
import time
from pathlib import Path
from urllib.request import urlopen

TIMEOUT_S = 5
#: The worker beats at least every 5 s.
BEAT_S = 20
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
        beat = Path(os.environ["PILOTHOUSE_HOME"]) / "run" / "worker.heartbeat"
        age_s = time.time() - beat.stat().st_mtime
        if age_s > BEAT_S:
            raise TimeoutError(f"the worker was last seen {age_s:.0f} s ago")
        return
    scheme, host, setting, port, path = URLS[service]
    # Asks whether our own servers live, not who they are.
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    url = f"{scheme}://{host}:{os.environ.get(f'PILOTHOUSE_{setting}', port)}/{path}"
    urlopen(url, timeout=TIMEOUT_S, context=unverified).close()  # noqa: S310 - our own address


if __name__ == "__main__":
    look(sys.argv[1])
