"""What Dockerfile and Compose file say, read without a container engine."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from core.settings import CODE_ROOT

_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
_STAGE = re.compile(r"^FROM (?P<image>\S+) AS (?P<name>\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Stage:
    """One stage of the Dockerfile: its base, and its instructions as (word, rest)."""

    name: str
    image: str
    instructions: tuple[tuple[str, str], ...]

    def all(self, word: str) -> list[str]:
        """What stands behind an instruction, once for each time."""
        return [rest for given, rest in self.instructions if given == word]

    @property
    def command(self) -> list[str]:
        """What a container starts."""
        (found,) = self.all("CMD")
        command: list[str] = json.loads(found)
        return command


def dockerfile() -> dict[str, Stage]:
    """Stages by name."""
    text = (CODE_ROOT / "Dockerfile").read_text(encoding="utf-8")
    starts = [*_STAGE.finditer(text)]
    ends = [*(one.start() for one in starts[1:]), len(text)]
    return {
        one["name"]: Stage(one["name"], one["image"], _instructions(text[one.end() : end]))
        for one, end in zip(starts, ends, strict=True)
    }


def compose() -> dict[str, Any]:
    """The Compose file with its anchors resolved and its variables as they stand."""
    document: dict[str, Any] = yaml.safe_load(
        (CODE_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    )
    return document


def ours() -> dict[str, Any]:
    """The services that run an image of this repository."""
    return {name: one for name, one in compose()["services"].items() if "build" in one}


def command_of(service: Mapping[str, Any]) -> list[str]:
    """What a service starts: its own word, or its image's."""
    given: list[str] | None = service.get("command")
    return given or dockerfile()[service["build"]["target"]].command


def filled_in(text: str, variables: Mapping[str, str]) -> str:
    """A value as Compose reads it.

    Raises:
        KeyError: a variable that has to be set is not.
    """

    def value(found: re.Match[str]) -> str:
        name, sign, rest = found.groups()
        if given := variables.get(name):
            return given
        if sign != "-":
            raise KeyError(name)
        return str(rest)

    return _VARIABLE.sub(value, text)


def _instructions(text: str) -> tuple[tuple[str, str], ...]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    words = (line.strip().partition(" ") for line in joined.splitlines() if line.strip())
    return tuple((word, rest.strip()) for word, _, rest in words)
