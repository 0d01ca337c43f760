"""Every failure an operator can meet, as one tree.

PilothouseError
├── SetupError            the machine or the installation is not ready
│   └── PortTakenError
├── UnavailableError      a service we depend on does not answer
├── ConflictError         the action contradicts what is already going on
├── NotFoundError         the named thing does not exist
├── InvalidInputError     what was given breaks a rule; carries every offence
│   └── DataContractError
├── ResourceError         the cluster cannot give what the profile asks for
├── TrainingError         a run could not finish
│   ├── RowCountError     rows were lost between a write and its reading
│   ├── SparkHungError    Spark stopped making progress
│   └── ParityError       the exported model disagrees with Spark
└── RefusedError          a rule of the product says no
    ├── SignInError       nobody has signed in, or the token or login does not hold
    └── ForbiddenError    whoever asks has no right to it

Vendor exceptions are translated into these once, in the vendor's adapter, with
``raise ... from exc``. ``message`` is one sentence for an operator, ``fix`` the
next thing to do. Stack traces belong in logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class PilothouseError(Exception):
    """An expected failure, told in one sentence with its fix."""

    code = "error"

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()


class SetupError(PilothouseError):
    """The machine or the installation is not ready."""

    code = "setup"


class PortTakenError(SetupError):
    """Another program listens where a service of ours should."""

    code = "port_taken"


class UnavailableError(PilothouseError):
    """A service does not answer."""

    code = "unavailable"


class ConflictError(PilothouseError):
    """The action contradicts what is already going on."""

    code = "conflict"


class NotFoundError(PilothouseError):
    """The named thing does not exist."""

    code = "not_found"


@dataclass(frozen=True)
class Offence:
    """One broken rule: where, and what is wrong.

    ``row`` is the zero-based row of a file or record of a request; ``None``
    when the rule concerns the whole.
    """

    field: str
    problem: str
    row: int | None = None


class InvalidInputError(PilothouseError):
    """What was given breaks a rule; ``offences`` names every place."""

    code = "invalid_input"

    def __init__(self, message: str, *, fix: str = "", offences: Sequence[Offence] = ()) -> None:
        super().__init__(message, fix=fix)
        self.offences = tuple(offences)


class DataContractError(InvalidInputError):
    """A file breaks the hard rules of a problem's contract."""

    code = "data_contract"


class ResourceError(PilothouseError):
    """The cluster cannot give what the profile asks for."""

    code = "resources"


class TrainingError(PilothouseError):
    """A run could not finish."""

    code = "training"


class RowCountError(TrainingError):
    """Rows were lost between a write and its reading."""

    code = "row_count"


class SparkHungError(TrainingError):
    """Spark stopped making progress; ``worth_retrying`` if a fresh session may do better."""

    code = "spark_hung"

    def __init__(self, message: str, *, fix: str = "", worth_retrying: bool = True) -> None:
        super().__init__(message, fix=fix)
        self.worth_retrying = worth_retrying


class ParityError(TrainingError):
    """The exported model disagrees with Spark."""

    code = "parity"


class RefusedError(PilothouseError):
    """A rule of the product says no."""

    code = "refused"


class SignInError(RefusedError):
    """Nobody has signed in, or what was shown for it does not hold."""

    code = "sign_in"


class ForbiddenError(RefusedError):
    """Whoever asks has no right to it."""

    code = "forbidden"
