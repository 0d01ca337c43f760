"""Health check of the container: the panel answers and a model is loaded.

Light on purpose, because it runs again and again; ``pilothouse status`` tells more.
"""

from __future__ import annotations

import os
import ssl
from urllib.request import urlopen

TIMEOUT_S = 5
HOST = os.environ.get("PILOTHOUSE_HOST", "127.0.0.1").replace("0.0.0.0", "127.0.0.1")  # noqa: S104
PANEL = os.environ.get("PILOTHOUSE_PANEL_PORT", "8501")
SERVING = os.environ.get("PILOTHOUSE_SERVING_PORT", "8000")
SCHEME = "https" if os.environ.get("PILOTHOUSE_TLS_CERT_FILE") else "http"

# Asks whether our own servers live, not who they are.
unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
unverified.check_hostname = False
unverified.verify_mode = ssl.CERT_NONE

for address in (f"{PANEL}/_stcore/health", f"{SERVING}/readyz"):
    # Anything but success raises, which is a failure to Docker.
    url = f"{SCHEME}://{HOST}:{address}"
    urlopen(url, timeout=TIMEOUT_S, context=unverified).close()  # noqa: S310
