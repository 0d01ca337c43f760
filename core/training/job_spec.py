"""What the starter of a run tells the run's process."""

from __future__ import annotations

from pathlib import Path

from core.frozen import Frozen
from core.params import Profile, TrainingParams

LOG_FILE = "run.log"


class RunSpec(Frozen):
    """Everything a run's process has to know."""

    run_id: str
    problem: str
    profile: Profile
    training: TrainingParams
    git_commit: str
    #: Batches whose labelled rows are learned from as well, in order.
    batches: tuple[str, ...] = ()


def run_folder(home: Path, run_id: str) -> Path:
    """Folder of a run's workspace and log."""
    return home / "runs" / run_id
