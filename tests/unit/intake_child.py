"""A process that takes files in and says what it said of each, and how much memory it took."""

from __future__ import annotations

import json
import resource
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


def main(folder: Path, limits: IntakeParams) -> None:
    """Takes in every file of a folder."""
    said = {path.name: _take(path, limits) for path in sorted(folder.iterdir())}
    # The readers have bounds of their own, which the system keeps.
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"said": said, "peak_mb": peak_mb}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), IntakeParams.model_validate_json(sys.argv[2]))
