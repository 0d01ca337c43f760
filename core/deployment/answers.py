"""What the server answers, as the core reads it; fields that nobody needs are left out."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

#: Says which replica has answered ``GET /readyz``.
REPLICA_HEADER = "x-pilothouse-replica"


class Described(BaseModel):
    """Of ``GET /problems/{problem}``, what is read."""

    problem: str
    version: int
    run_id: str
    family: str
    threshold: float
    bundle_sha256: str = ""


class Prediction(BaseModel):
    """One prediction."""

    label: int | str
    probability: float


class Predicted(BaseModel):
    """Answer to a prediction request."""

    request_id: str
    model_version: int
    predictions: tuple[Prediction, ...]


class ReadyBeside(BaseModel):
    """The second version of a problem in ``GET /readyz``.

    ``failure`` says why it is not loaded; with no failure and ``loaded`` false it is on its way.
    """

    rollout: str
    step: int
    version: int
    loaded: bool
    failure: str = ""


class ReadyProblem(BaseModel):
    """One problem in ``GET /readyz``; ``version`` is ``None`` where none is loaded."""

    failure: str
    version: int | None = None
    beside: ReadyBeside | None = None


class LogState(BaseModel):
    """The inference log of the replica that answered."""

    lost_rows: int = 0
    failure: str = ""

    def said(self) -> str:
        """What an operator should know of a replica's inference log; empty if all is well."""
        failure = self.failure and f"The inference log cannot be written: {self.failure}."
        lost = f"{self.lost_rows:,} answered rows are not in the inference log."
        return f"{failure} {lost if self.lost_rows else ''}".strip()


class Ready(BaseModel):
    """``GET /readyz``."""

    problems: Mapping[str, ReadyProblem]
    inference_log: LogState = LogState()

    def failures(self) -> dict[str, str]:
        """Problem -> why its wanted version is not loaded; empty if all are."""
        return {name: entry.failure for name, entry in self.problems.items() if entry.failure}


class Detail(BaseModel):
    """One broken rule."""

    field: str
    problem: str


class Error(BaseModel):
    """What went wrong."""

    message: str
    details: tuple[Detail, ...]


class Refused(BaseModel):
    """The one shape of every error."""

    error: Error
