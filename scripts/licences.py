"""Writes docs/licences.md: every locked package with its licence, as it says itself.

    python scripts/licences.py           writes the list
    python scripts/licences.py --check   fails where the list is not that of the lock

What a package says is brought to one spelling by deploy/licences.toml, which also has the
licences that are allowed without a note. Anything else needs a note there, or this fails.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK, RULES, PAGE = "requirements.lock", "deploy/licences.toml", "docs/licences.md"
UNKNOWN = "unknown"
HEAD = """# Licences

What the packages of `requirements.lock` are licensed under, as their own metadata say it, in \
the spelling of [SPDX](https://spdx.org/licenses/). These are the packages that `make up` \
installs and that the images hold; tools for development are not among them, nor what a \
package carries inside and names in its own files.

Written by `make licences`; a test fails when it is not that of the lock. \
[deploy/licences.toml](../deploy/licences.toml) has what is allowed and why the rest is here.

| package | version | licence | note |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Rules:
    """What is allowed, and how packages spell it."""

    allowed: frozenset[str]
    #: What packages write -> its identifier.
    words: Mapping[str, str]
    #: Package -> licence, where its metadata do not say it, and note, why it may be here.
    packages: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Entry:
    """One package of the list."""

    name: str
    version: str
    licence: str
    note: str


def read_rules(text: str) -> Rules:
    """Reads deploy/licences.toml."""
    data = tomllib.loads(text)
    return Rules(frozenset(data["allowed"]), data["words"], data["packages"])


def locked(text: str) -> dict[str, str]:
    """Package -> version, of a lock file."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))


def licence_of(name: str, said: Any, rules: Rules) -> str:
    """The licence of a package by its metadata, which know several ways to say it."""
    given = rules.packages.get(name, {}).get("licence")
    if given:
        return str(given)
    if said.get("License-Expression"):
        return str(said["License-Expression"])
    first = (said.get("License") or "").strip().split("\n")[0]
    classifiers = (line for line in said.get_all("Classifier", []) if "License ::" in line)
    for words in (first, *(line.rsplit(" :: ", 1)[-1] for line in classifiers)):
        if words in rules.words:
            return rules.words[words]
        if words in rules.allowed:
            return words
    return UNKNOWN


def is_allowed(licence: str, allowed: frozenset[str]) -> bool:
    """Whether an expression comes to allowed licences: all of an AND, one of an OR."""
    tokens = re.findall(r"\(|\)|[^\s()]+", licence)

    def either() -> bool:
        found = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            # Both sides are read, whatever the first one says.
            found = both() or found
        return found

    def both() -> bool:
        found = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            found = one() and found
        return found

    def one() -> bool:
        token = tokens.pop(0)
        if token == "(":
            found = either()
            tokens.pop(0)
            return found
        if tokens and tokens[0] == "WITH":
            token = f"{token} WITH {tokens[1]}"
            del tokens[:2]
        return token in allowed

    return either()


def entries(lock: Mapping[str, str], rules: Rules) -> Iterator[Entry]:
    """The list, by name."""
    for name, version in sorted(lock.items()):
        try:
            said = metadata(name)
        except PackageNotFoundError:
            sys.exit(f"{name} is locked and not installed; run `make venv`.")
        note = rules.packages.get(name, {}).get("note", "")
        yield Entry(name, version, licence_of(name, said, rules), note)


def faults(found: Sequence[Entry], rules: Rules) -> Iterator[str]:
    """What is neither allowed nor explained, and what is explained for nothing."""
    names = {entry.name for entry in found}
    for entry in found:
        if not is_allowed(entry.licence, rules.allowed) and not entry.note:
            yield f"{entry.name}: {entry.licence} is not allowed and has no note in {RULES}"
    for name in sorted(set(rules.packages) - names):
        yield f"{name}: {RULES} knows it, {LOCK} does not"


def page(found: Sequence[Entry]) -> str:
    """docs/licences.md."""
    lines = [f"| {e.name} | {e.version} | {e.licence} | {e.note} |\n" for e in found]
    return HEAD + "".join(lines)


def main() -> int:
    """Writes or checks the list."""
    rules = read_rules((ROOT / RULES).read_text(encoding="utf-8"))
    found = list(entries(locked((ROOT / LOCK).read_text(encoding="utf-8")), rules))
    wrong = list(faults(found, rules))
    for fault in wrong:
        sys.stderr.write(f"{fault}\n")
    text, file = page(found), ROOT / PAGE
    if "--check" not in sys.argv[1:]:
        file.write_text(text, encoding="utf-8")
    elif not file.exists() or file.read_text(encoding="utf-8") != text:
        sys.stderr.write(f"{PAGE} is not that of {LOCK}; run `make licences`.\n")
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
