"""What the starter of a sweep tells the sweep's process."""

from __future__ import annotations

from pathlib import Path

from core.frozen import Frozen
from core.params import Profile, TrainingParams

LOG_FILE = "sweep.log"
#: Artifacts of the sweep's run in MLflow.
FOLDER = "sweep"
REPORT_FILE, ADVICE_FILE = f"{FOLDER}/sweep.json", f"{FOLDER}/advice.json"


class SweepSpec(Frozen):
    """Everything a sweep's process has to know."""

    sweep_id: str
    problem: str
    profiles: tuple[Profile, ...]
    families: tuple[str, ...]
    repeat: int
    training: TrainingParams
    git_commit: str


def sweep_folder(home: Path, sweep_id: str) -> Path:
    """Folder of a sweep's scratch and log."""
    return home / "sweeps" / sweep_id
