"""The metrics of the served models as numbers: what ``metrics.py`` writes, read back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True)
class Series:
    """One line over time: a metric with its labels, as (name, value) in order of the names."""

    name: str
    labels: tuple[tuple[str, str], ...]

    def label(self, name: str) -> str:
        """The value of a label; empty where there is none."""
        return dict(self.labels).get(name, "")


@dataclass(frozen=True)
class Scrape:
    """What was told at one moment; ``at_s`` is in seconds of any clock that only goes on."""

    at_s: float
    values: Mapping[Series, float]

    def of(self, name: str) -> Iterator[tuple[Series, float]]:
        """The samples of one metric."""
        return ((one, value) for one, value in self.values.items() if one.name == name)


def read_scrape(text: str, at_s: float) -> Scrape:
    """Reads Prometheus' text format, version 0.0.4; a line that is no sample is passed over."""
    values: dict[Series, float] = {}
    for line in text.splitlines():
        found = _SAMPLE.match(line)
        if found is None:
            continue
        try:
            value = float(found["value"])
        except ValueError:
            continue
        labels = tuple(sorted(_labels(found["labels"] or "")))
        values[Series(found["name"], labels)] = value
    return Scrape(at_s, values)


def grown(before: Scrape, after: Scrape) -> Scrape:
    """By how much each counter has grown between two scrapes.

    A counter that was not there has grown from zero: its replica is new. One that has become
    smaller was started anew and has grown from zero as well, as in Prometheus' ``increase``.
    """
    values = {}
    for series, value in after.values.items():
        old = before.values.get(series, 0.0)
        values[series] = value - old if value >= old else value
    return Scrape(after.at_s, values)


def _labels(text: str) -> Iterator[tuple[str, str]]:
    for name, value in _LABEL.findall(text):
        yield name, _ESCAPED.sub(lambda m: "\n" if m[1] == "n" else m[1], value)
