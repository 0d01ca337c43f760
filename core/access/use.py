"""When keys were last used: replicas note it in files, the worker reads them.

Each replica keeps one small file, ``<replica>.json``, with key id -> seconds since 1970. It is
replaced whole, so a reader never sees half of it; what a killed replica has not written yet
is lost, which is a few seconds.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

#: A file that no replica has touched for so long belongs to none any more.
KEPT_S = 86_400.0


def key_use_folder(home: Path) -> Path:
    """Folder of the notes of all replicas."""
    return home / "key-use"


def write_use(folder: Path, replica: str, used_s: Mapping[str, float]) -> None:
    """Replaces the note of a replica.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    unborn = folder / f".{replica}.json"
    unborn.write_text(json.dumps(dict(used_s)), encoding="utf-8")
    unborn.replace(folder / f"{replica}.json")


def read_use(folder: Path) -> dict[str, float]:
    """Key id -> seconds since 1970 of its last use, over all replicas.

    A file that cannot be read is left out: the next one of the replica replaces it.
    """
    latest: dict[str, float] = {}
    for file in folder.glob("[!.]*.json"):
        for key_id, used_s in _noted(file).items():
            latest[key_id] = max(used_s, latest.get(key_id, 0.0))
    return latest


def forget_old(folder: Path) -> None:
    """Removes the notes of replicas that have long ended."""
    for file in folder.glob("[!.]*.json"):
        if time.time() - file.stat().st_mtime > KEPT_S:
            file.unlink(missing_ok=True)


def _noted(file: Path) -> dict[str, float]:
    try:
        noted = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(noted, dict):
        return {}
    # What was used in the future was noted by a clock that is wrong.
    now_s = time.time()
    return {
        key_id: float(min(used_s, now_s))
        for key_id, used_s in noted.items()
        if isinstance(used_s, int | float) and math.isfinite(used_s)
    }
