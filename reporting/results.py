"""What the report rests on: the figures of real runs as one value, kept as JSON beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from core.domain_watching import Level
from core.errors import InvalidInputError
from core.frozen import Frozen
from core.training.report import EvaluationReport


class Trained(Frozen):
    """What the pipeline has made of one problem."""

    title: str
    #: By which DVC knows the rows it was made from.
    data_version: str
    #: Inputs that a caller sends, and features that are derived from them.
    inputs: int
    derived: int
    #: What a positive label means, in a word or two.
    positive_meaning: str
    #: What the soft rules of the contract have found, one sentence each.
    findings: tuple[str, ...]
    report: EvaluationReport


class Day(Frozen):
    """A day's rows held against what the model was trained on, before any label is known."""

    number: int
    rows: int
    level: Level
    summary: str
    #: Column -> PSI, inputs that drift most first; ``probability``, the prediction's, is last.
    psi: Mapping[str, float]
    #: Estimated without labels, with its band.
    estimated: float | None
    low: float | None
    high: float | None
    #: What the day's labels say afterwards.
    realized: float


class Course(Frozen):
    """The days of one problem, in order, with what they are judged by."""

    problem: str
    title: str
    #: How the days were made, in words.
    arrival: str
    #: Of the performance, in the words of ``evaluation.point_metrics``.
    metric: str
    reference: float | None
    psi_warning: float
    psi_critical: float
    days: tuple[Day, ...]


class Aim(Frozen):
    """A row of the targets of a benchmark, as its page has it."""

    what: str
    limit: str
    measured: str
    outcome: str


class Benchmark(Frozen):
    """What a benchmark was to reach and has reached."""

    title: str
    #: When, and on what machine.
    conditions: str
    aims: tuple[Aim, ...]


class Results(Frozen):
    """All that was collected. Equal runs give an equal value but for ``conditions``."""

    #: Commit of the code that was run, with ``-dirty`` where tracked files differed.
    git_commit: str
    #: When, and on what machine.
    conditions: str
    trained: tuple[Trained, ...]
    courses: tuple[Course, ...]
    benchmarks: tuple[Benchmark, ...]


def write_results(results: Results, path: Path) -> None:
    """Writes the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(results.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_results(path: Path) -> Results:
    """Reads the figures.

    Raises:
        InvalidInputError: there are none, or they are of another release.
    """
    try:
        return Results.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as exc:
        raise InvalidInputError(
            f"{path.name} holds no figures of this release.", fix="Call `make report`."
        ) from exc
