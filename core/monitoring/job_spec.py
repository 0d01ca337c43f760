"""What the starter of a check tells the check's process."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime
from pathlib import Path

from core.frozen import Frozen
from core.params import Profile, SparkParams
from core.params_monitoring import MonitoringParams

LOG_FILE = "check.log"
#: Artifacts of the check's run in MLflow.
FOLDER = "monitoring"
REPORT_FILE = f"{FOLDER}/report.json"


class SparkSpec(Frozen):
    """What a check's session of Spark is given."""

    profile: Profile
    params: SparkParams


class CheckSpec(Frozen):
    """Everything a check's process has to know."""

    check_id: str
    problem: str
    started_at: datetime
    #: The version in production and the run that made it.
    version: int
    run_id: str
    #: Either a batch, with the hash of its rows, or a window of the inference log.
    batch_id: str | None
    data_version: str
    window: str | None
    monitoring: MonitoringParams
    #: Set where memory is not to hold the rows: Spark counts them.
    spark: SparkSpec | None
    #: Ids of earlier checks of the same version that have finished, newest first.
    earlier: tuple[str, ...]


def check_folder(home: Path, check_id: str) -> Path:
    """Folder of a check's log and scratch."""
    return home / "checks" / check_id


def command_of(spec: CheckSpec) -> str:
    """The command line of a check's process."""
    return shlex.join([sys.executable, "-m", "core.monitoring.job", spec.model_dump_json()])
