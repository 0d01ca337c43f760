"""What an archive says of itself: at its beginning what it is, at its end what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from core.frozen import Frozen

#: Of the archive. A release reads its own format and those before it.
FORMAT = 1
#: The first member, and the last: an archive that was cut off has no manifest.
DESCRIPTION_FILE, MANIFEST_FILE = "description.json", "manifest.json"
#: Of a file's mode: somebody may write to it.
WRITABLE = 0o222


class Description(Frozen):
    """What an archive is; the first member."""

    format: int
    #: Versions of the programs whose state it is.
    pilothouse: str
    mlflow: str
    #: The last migration of Pilothouse's database.
    revision: str
    made_at: datetime
    made_by: str
    #: The home of the time.
    home: str
    with_secrets: bool
    #: Settings of the time that are no secret.
    settings: Mapping[str, str] = Field(default_factory=dict)
    #: Databases that were not in the home: another server's, or not yet made.
    absent: tuple[str, ...] = ()
    #: The S3 store of the time, of which nothing is in the archive; empty where there was none.
    store: str = ""
    #: Where MLflow says that artifacts lie, if not behind its own server; examples.
    artifacts_elsewhere: tuple[str, ...] = ()


class Member(Frozen):
    """One file. The bytes of a file that has ``same_as`` are those of that earlier member."""

    name: str
    size: int
    sha256: str
    mode: int
    same_as: str = ""


class Manifest(Frozen):
    """Every file of an archive but itself; the last member."""

    members: tuple[Member, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(one.size for one in self.members)
