"""Values that a run keeps as JSON among its artifacts in MLflow."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from core.adapters.mlflow import RunTracker
from core.errors import InvalidInputError, NotFoundError
from core.training.predictions import HoldoutPredictions, read_predictions
from core.training.tracking import PREDICTIONS_FILE

_Value = TypeVar("_Value", bound=BaseModel)


def read_value(
    tracker: RunTracker, run_id: str, name: str, kind: type[_Value], *, foreign: NotFoundError
) -> _Value:
    """Reads the artifact ``name`` of a run as a value.

    Raises:
        NotFoundError: the run has none, or it was deleted in MLflow; ``foreign`` if what
            is there does not fit this release.
    """
    with tempfile.TemporaryDirectory() as scratch:
        text = tracker.read_file(run_id, name, Path(scratch))
    try:
        return kind.model_validate_json(text)
    except ValidationError as exc:
        raise foreign from exc


def read_holdout(tracker: RunTracker, run_id: str) -> HoldoutPredictions:
    """Reads what a finished run's model says of every row of the holdout.

    Raises:
        NotFoundError: the run is of a release that kept none, or it was deleted.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = tracker.fetch_file(run_id, PREDICTIONS_FILE, Path(scratch))
        try:
            return read_predictions(path)
        except InvalidInputError as exc:
            raise NotFoundError(
                f"The predictions of run {run_id[:8]} cannot be read.",
                fix="Run the training again.",
            ) from exc
