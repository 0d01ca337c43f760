"""What of an installation goes into a backup, and what does not. Pure values and functions.

Taken is what nothing else can make again. Left are copies (``bundles``, ``good-models``,
``references``), workspaces of runs, what is measured anew within minutes (``metrics``,
``key-use``, most of ``load``), and what belongs to the processes of one machine (``run``,
``logs``, ``ports.json``, locks, files that are being written). What lies in an S3 store is not
in the home, and so in no backup.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import PurePosixPath

#: Where the files of the home stand in the archive.
HOME = "home"
#: The parameters of the time, for people: parameters belong to the code and are not restored.
PARAMS = "params.yaml"
DATABASE = "pilothouse.db"
MLFLOW_DATABASE = "mlflow/mlflow.db"
AUDIT_KEY, ANCHOR = "secrets/audit.key", "audit/anchor"

Parts = tuple[str, ...]


class Kind(Enum):
    """How a store is copied while others write to it."""

    #: By SQLite's online backup.
    DATABASE = "database"
    #: File by file.
    FILES = "files"
    #: File by file, with compaction kept away meanwhile.
    LOG = "log"
    #: As files, and left out where no secrets are wanted.
    SECRETS = "secrets"


@dataclass(frozen=True)
class Store:
    """A part of the home, and which of its files are taken.

    ``takes`` gets the parts of a file's name below ``folder``; none for ``folder`` itself,
    where that is a file.
    """

    title: str
    folder: str
    kind: Kind
    takes: Callable[[Parts], bool]

    @property
    def parts(self) -> Parts:
        """The parts of the folder's name."""
        return PurePosixPath(self.folder).parts


def _itself(parts: Parts) -> bool:
    return not parts


def _every_file(parts: Parts) -> bool:
    return bool(parts)


def _finished(parts: Parts) -> bool:
    """Hidden names are of files that are being written, and of locks."""
    return bool(parts) and not any(part.startswith(".") for part in parts)


def _logs(parts: Parts) -> bool:
    return len(parts) == len(("id", "name")) and parts[1].endswith(".log")


def _versions_of_data(parts: Parts) -> bool:
    """A DVC repository without what is being taken in and what DVC makes anew."""
    if parts[:1] == (".dvc",):
        return parts[1:2] in (("config",), ("cache",))
    return parts == (".dvcignore",) or (
        _finished(parts) and parts[0] not in ("incoming", "incoming-labels")
    )


def _log_of_answers(parts: Parts) -> bool:
    # Hidden files count where compaction.json names them; see core/data/segment_store.py.
    is_file = len(parts) > 1 and parts[-1] != "lock"
    return is_file and not parts[-1].startswith(".new-")


def _days_in_home(parts: Parts) -> bool:
    """Finished days of the time before there was an S3 store."""
    return _log_of_answers(parts) and parts[1] == "daily"


#: In the order in which they are copied. The anchor comes before the trail that it is set on,
#: because a trail may be ahead of its anchor and not behind it. Pilothouse's database comes
#: before MLflow's, and both before all files: whoever writes puts the file in place first,
#: then MLflow's row, then ours, so that a later copy has all that an earlier one speaks of.
STORES: tuple[Store, ...] = (
    Store("anchor of the audit trail", ANCHOR, Kind.FILES, _itself),
    Store("secrets", "secrets", Kind.SECRETS, _finished),
    Store("database", DATABASE, Kind.DATABASE, _itself),
    Store("MLflow's database", MLFLOW_DATABASE, Kind.DATABASE, _itself),
    Store("MLflow's artifacts", "mlflow/artifacts", Kind.FILES, _every_file),
    Store("batches", "batches", Kind.FILES, _versions_of_data),
    Store("training data", "training-data", Kind.FILES, _versions_of_data),
    Store("inference log", "inference", Kind.LOG, _log_of_answers),
    Store("late labels", "labels", Kind.LOG, _log_of_answers),
    Store("notes of rollouts", "rollouts", Kind.FILES, _finished),
    Store("error budgets", "load/slo.json", Kind.FILES, _itself),
    Store("decisions on replicas", "load/decisions.json", Kind.FILES, _itself),
    Store("logs of runs", "runs", Kind.FILES, _logs),
    Store("logs of sweeps", "sweeps", Kind.FILES, _logs),
    Store("logs of checks", "checks", Kind.FILES, _logs),
)


def chosen(*, with_secrets: bool, with_store: bool = False) -> tuple[Store, ...]:
    """Stores that are copied file by file, in this order; databases have come before them.

    With an S3 store no segment of a log is taken: its rows are in the store minutes later, and
    if it were brought back they would be in the log twice.
    """
    left = {Kind.DATABASE} if with_secrets else {Kind.DATABASE, Kind.SECRETS}
    return tuple(
        replace(store, takes=_days_in_home) if with_store and store.kind is Kind.LOG else store
        for store in STORES
        if store.kind not in left
    )


def store_of(name: str) -> Store | None:
    """The store that takes a file of the home; ``None`` where none does."""
    parts = tuple(name.split("/"))
    for store in STORES:
        depth = len(store.parts)
        if parts[:depth] == store.parts and store.takes(parts[depth:]):
            return store
    return None


def below_home(member: str) -> str | None:
    """Where below a home a member of an archive belongs; ``None`` where it does not.

    An archive is a file that somebody hands over: a name that leads out of the home, or to
    anything that no backup takes, is none.
    """
    first, _, rest = member.partition("/")
    parts = rest.split("/")
    is_plain = "\0" not in member and not {"", ".", ".."} & set(parts)
    return rest if first == HOME and is_plain and store_of(rest) is not None else None
