"""Whether a backup may be restored, and why not. Pure functions of values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from core.backup.manifest import FORMAT, Description, Manifest
from core.wording import count

#: What a restore leaves where it is: of this machine and its processes, and earlier states.
STAYS = frozenset({"run", "logs", "ports.json", "backups"})
ASIDE = "before-restore-"
#: Where a restore prepares what it will put in place.
STAGING = ".restore"
_NAMED = 3


@dataclass(frozen=True)
class Objection:
    """Why not, as one sentence, and what to do about it."""

    message: str
    fix: str


@dataclass(frozen=True)
class Ours:
    """What an archive has to fit."""

    pilothouse: str
    mlflow: str
    #: Every migration that this release knows.
    revisions: frozenset[str]
    home: str


@dataclass(frozen=True)
class Situation:
    """How things stand in the home that is to be restored into."""

    #: What of the installation runs, in words.
    running: Sequence[str]
    #: Entries of the home that are in the way.
    present: Sequence[str]
    #: Those of them that lie on another file system and cannot be renamed.
    immovable: Sequence[str]
    replace: bool


def objection_to_format(number: int, made_by: str) -> Objection | None:
    """Why a format cannot be read; ``None`` if it can. ``made_by`` is Pilothouse's version."""
    if number <= FORMAT:
        return None
    return Objection(
        f"The backup has format {number}, and this release reads up to {FORMAT}.",
        f"Install Pilothouse {made_by} or newer.",
    )


def objection_to_archive(archive: Description, ours: Ours) -> Objection | None:
    """Why a backup does not fit this release or home; ``None`` if it does."""
    for name, theirs, own in (
        ("Pilothouse", archive.pilothouse, ours.pilothouse),
        ("MLflow", archive.mlflow, ours.mlflow),
    ):
        if _numbers(theirs) > _numbers(own):
            return Objection(
                f"The backup was made by {name} {theirs}, which is newer than {own} here.",
                f"Install Pilothouse {archive.pilothouse} or newer, then restore.",
            )
    if archive.revision not in ours.revisions:
        return Objection(
            f"The backup's database has the schema {archive.revision}, which this release does "
            "not know.",
            f"Install Pilothouse {archive.pilothouse} or newer, then restore.",
        )
    bound = [one for one in archive.artifacts_elsewhere if is_below(one, archive.home)]
    if bound and archive.home != ours.home:
        return Objection(
            f"MLflow's database names artifacts by their place in the home {archive.home}, such "
            f"as {bound[0]}, and would not find them in {ours.home}.",
            f"Restore with PILOTHOUSE_HOME={archive.home}.",
        )
    return None


def objection_to_situation(now: Situation) -> Objection | None:
    """Why nothing may be restored into the home as things stand; ``None`` if it may."""
    if now.running:
        return Objection(
            f"The installation is in use: {_some(now.running)}.",
            "Run `pilothouse down`, end other commands, then try again.",
        )
    if now.present and not now.replace:
        return Objection(
            f"There is something in the home already: {_some(now.present)}.",
            "Restore into an empty home, or give --replace, which moves this aside.",
        )
    if now.immovable:
        return Objection(
            f"What is in the home cannot be moved aside: {_some(now.immovable)} lies on another "
            "file system.",
            "Move it away by hand, then restore.",
        )
    return None


def flaws(
    manifest: Manifest, found: Mapping[str, tuple[int, str]], apart: Collection[str]
) -> tuple[str, ...]:
    """Everything in which an archive is not what its manifest says, as sentences.

    Args:
        manifest: what it should hold.
        found: member -> its size and SHA-256 as read.
        apart: members that the manifest does not name because it comes after them.
    """
    names = Counter(one.name for one in manifest.members)
    wrong = [f"{name} is named {times} times" for name, times in names.items() if times > 1]
    for one in manifest.members:
        held = found.get(one.same_as or one.name)
        if held is None:
            wrong.append(f"{one.name} is missing")
        elif held != (one.size, one.sha256):
            wrong.append(f"{one.name} is not what was backed up")
        elif one.same_as and one.name in found:
            wrong.append(f"{one.name} is there twice")
    extra = set(found) - set(names) - set(apart)
    return (*wrong, *(f"{name} was not backed up" for name in sorted(extra)))


def is_below(location: str, home: str) -> bool:
    """Whether a place that MLflow names, as a path or an address of a file, is in a home."""
    path = re.sub(r"^file:(//[^/]*)?", "", location)
    return path.startswith(f"{home.rstrip('/')}/")


def in_the_way(entries: Collection[str], *, with_secrets: bool) -> tuple[str, ...]:
    """Which entries of a home have to go before a backup can take their place.

    A backup without secrets takes those that lie there.
    """
    stays = STAYS if with_secrets else STAYS | {"secrets"}
    return tuple(
        sorted(
            name
            for name in entries
            if name not in stays and name != STAGING and not name.startswith(ASIDE)
        )
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    more = len(names) - _NAMED
    return f"{shown} and {count(more, 'more thing')}" if more > 0 else shown
