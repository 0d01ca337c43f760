"""A process that takes files in and says what it said of each, and how much memory it took."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from core.data.batch_intake import take_in
from core.data.given_file import open_given
from core.errors import InvalidInputError
from core.params_intake import IntakeParams
from tests.unit.core_fakes import PROBLEM


def _take(path: Path, limits: IntakeParams) -> str:
    with tempfile.TemporaryDirectory() as folder:
        try:
            opened = open_given(path, path.name, limits)
            take_in(opened, PROBLEM.contract, Path(folder) / "rows.parquet", lambda share: None)
        except InvalidInputError as exc:
            return exc.message
    return "accepted"


def _peak_mb() -> float:
    """The most memory this process held; its readers have bounds that the system keeps.

    Not by ``getrusage``, which begins with what the process that started this one held.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (peak_kb,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak_kb) / 1024


def main(folder: Path, limits: IntakeParams) -> None:
    """Takes in every file of a folder."""
    said = {path.name: _take(path, limits) for path in sorted(folder.iterdir())}
    sys.stdout.write(json.dumps({"said": said, "peak_mb": _peak_mb()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), IntakeParams.model_validate_json(sys.argv[2]))
