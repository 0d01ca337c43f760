"""Health check of the container: the panel answers and a model is loaded.

Light on purpose, because it runs again and again; ``pilothouse status`` tells more.
"""

from __future__ import annotations

import os
from urllib.request import urlopen

TIMEOUT_S = 5
PANEL = os.environ.get("PILOTHOUSE_PANEL_PORT", "8501")
SERVING = os.environ.get("PILOTHOUSE_SERVING_PORT", "8000")

for address in (f"{PANEL}/_stcore/health", f"{SERVING}/readyz"):
    # Anything but success raises, which is a failure to Docker.
    urlopen(f"http://127.0.0.1:{address}", timeout=TIMEOUT_S).close()
