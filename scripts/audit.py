"""Asks for known holes in the locked packages; deploy/audit-exceptions.toml has what is left.

    python scripts/audit.py [FOLDER]     the report goes to FOLDER/report.md; build/audit

Asks the advisory service of the Python package index, so it needs the network. It fails at a
hole without an exception, at an exception that has expired, at one that is needed no more, and
at a package that could not be asked for: a mirror of the index may know no advisories.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK, EXCEPTIONS = "requirements.lock", "deploy/audit-exceptions.toml"
REPORT = "report.md"
#: Characters of an advisory that the report shows.
SHOWN = 200
#: What an exception has to say.
ASKED = {"id", "package", "reason", "until"}


@dataclass(frozen=True)
class Hole:
    """A known hole in a locked package."""

    package: str
    version: str
    #: Under which it is known: its own name, then its aliases.
    ids: tuple[str, ...]
    fixed_in: tuple[str, ...]
    about: str


@dataclass(frozen=True)
class Known:
    """A hole that is left for now, and why."""

    id: str
    package: str
    reason: str
    until: date


def holes(document: Mapping[str, Any]) -> Iterator[Hole]:
    """What pip-audit says, as JSON."""
    for package in document["dependencies"]:
        for one in package.get("vulns", ()):
            ids = dict.fromkeys([one["id"], *one.get("aliases", ())])
            about = " ".join(one.get("description", "").split())
            fixed = tuple(one.get("fix_versions", ()))
            yield Hole(package["name"], package["version"], tuple(ids), fixed, about[:SHOWN])


def skipped(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Packages that pip-audit could not ask for, with its reason."""
    return tuple(
        f"{one['name']}: {one['skip_reason']}"
        for one in document["dependencies"]
        if "skip_reason" in one
    )


def read_exceptions(text: str) -> tuple[Known, ...]:
    """Reads deploy/audit-exceptions.toml.

    Raises:
        ValueError: an exception lacks something, or has something that nobody asked for.
    """
    found = []
    for given in tomllib.loads(text).get("exception", ()):
        if set(given) != ASKED or not isinstance(given["until"], date):
            raise ValueError(f"{EXCEPTIONS}: {given} must have {', '.join(sorted(ASKED))}.")
        if len(given["reason"].split()) < 3:
            raise ValueError(f"{EXCEPTIONS}: {given['id']} needs a reason in words.")
        found.append(Known(**given))
    return tuple(found)


def open_holes(found: Iterable[Hole], known: Iterable[Known], today: date) -> tuple[Hole, ...]:
    """Holes that no exception of today covers."""
    covered = {(one.package, one.id) for one in known if one.until >= today}
    return tuple(hole for hole in found if not {(hole.package, i) for i in hole.ids} & covered)


def useless(found: Iterable[Hole], known: Iterable[Known]) -> tuple[Known, ...]:
    """Exceptions of holes that are not there."""
    there = {(hole.package, one) for hole in found for one in hole.ids}
    return tuple(one for one in known if (one.package, one.id) not in there)


def report(
    left: Sequence[Hole], known: Sequence[Known], unneeded: Sequence[Known], asked: Sequence[str]
) -> str:
    """The report as Markdown; ``asked`` are packages that could not be asked for."""
    lines = [f"# Known holes in {LOCK}", ""]
    if left:
        lines += [
            "| package | version | hole | fixed in | about |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [_row(hole) for hole in left]
    else:
        lines.append("None without an exception.")
    if unneeded:
        lines += ["", "Exceptions that are needed no more:", ""]
        lines += [f"- {one.package}, {one.id}" for one in unneeded]
    elif known:
        lines += ["", "Left for now:", ""]
        lines += [f"- {k.package}, {k.id}, until {k.until}: {k.reason}" for k in known]
    if asked:
        lines += ["", "Not asked for:", "", *(f"- {one}" for one in asked)]
    return "\n".join(lines) + "\n"


def _row(hole: Hole) -> str:
    about = hole.about.replace("|", "\\|")
    fixed = ", ".join(hole.fixed_in) or "no release"
    return f"| {hole.package} | {hole.version} | {hole.ids[0]} | {fixed} | {about} |"


def ask() -> Mapping[str, Any]:
    """What pip-audit finds; it exits with 1 where there is a hole."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / LOCK)]
    # The lock has every package with its hashes: nothing has to be resolved.
    command += [
        "--disable-pip",
        "--require-hashes",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: Mapping[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        sys.exit(f"pip-audit could not ask:\n{done.stderr.strip()}")
    return found


def main() -> int:
    """Asks, writes the report, and says whether all is well."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "audit"
    known = read_exceptions((ROOT / EXCEPTIONS).read_text(encoding="utf-8"))
    document = ask()
    found, asked = tuple(holes(document)), skipped(document)
    left = open_holes(found, known, datetime.now(UTC).date())
    unneeded = useless(found, known)
    text = report(left, known, unneeded, asked)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 1 if left or unneeded or asked else 0


if __name__ == "__main__":
    sys.exit(main())
