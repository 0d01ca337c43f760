"""The newest check of each problem as metrics for Prometheus: a duty of the worker."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

from core.deployment.metrics import Family, Sample, forget_old, render, write_metrics
from core.domain import RunStatus
from core.domain_watching import Check, Level
from core.monitoring.outcome import check_metrics
from core.monitoring.report import DriftReport

SOURCE = "worker"
#: How a level is told as a number; not enough data is -1.
_LEVELS = {Level.NOT_ENOUGH_DATA: -1.0, Level.OK: 0.0, Level.WARNING: 1.0, Level.CRITICAL: 2.0}
#: Prefix of a check's metric -> (metric of ours, label that takes the rest of the name).
_TOLD = {
    "psi": ("pilothouse_drift_psi", "column"),
    "missing": ("pilothouse_missing_share", "column"),
    "estimated": ("pilothouse_performance_estimated", "metric"),
    "realized": ("pilothouse_performance_realized", "metric"),
    "reference": ("pilothouse_performance_reference", "metric"),
}
_HELP = {
    "pilothouse_check_level": "Newest check: -1 not enough data, 0 ok, 1 warning, 2 critical.",
    "pilothouse_check_ended_timestamp_seconds": "When the newest check ended.",
    "pilothouse_check_rows": "Rows that the newest check looked at.",
    "pilothouse_drift_psi": "PSI of a column in the newest check.",
    "pilothouse_missing_share": "Share of missing values of a column in the newest check.",
    "pilothouse_performance_estimated": "Performance that the newest check estimates.",
    "pilothouse_performance_realized": "Performance on the labels that the newest check had.",
    "pilothouse_performance_reference": "Performance on the reference of the newest check.",
}


class Checks(Protocol):
    """Where checks are looked up."""

    def list(self, problem: str | None = None, limit: int = 100) -> Sequence[Check]:
        """Newest first."""

    def report(self, check_id: str) -> DriftReport:
        """What a check has found."""


class CheckGauges:
    """Keeps the worker's file of metrics; reads a report once, when there is a newer one."""

    def __init__(self, checks: Checks, problems: Collection[str], folder: Path) -> None:
        self._checks = checks
        self._problems = problems
        self._folder = folder
        self._told: dict[str, tuple[str, list[tuple[str, Sample]]]] = {}

    def write(self) -> None:
        """Writes the file anew, also where nothing has changed: a file that ages is left out."""
        for problem in self._problems:
            checks = self._checks.list(problem)
            newest = next((one for one in checks if one.status is RunStatus.FINISHED), None)
            if newest is not None and newest.id != self._told.get(problem, ("",))[0]:
                report = self._checks.report(newest.id)
                self._told[problem] = (newest.id, samples_of(newest, report))
        write_metrics(self._folder, SOURCE, render(self._families()))
        forget_old(self._folder)

    def _families(self) -> list[Family]:
        told = [sample for _, samples in self._told.values() for sample in samples]
        return [
            Family(name, "gauge", said, [sample for of, sample in told if of == name])
            for name, said in _HELP.items()
        ]


def samples_of(check: Check, report: DriftReport) -> list[tuple[str, Sample]]:
    """(metric, sample) of everything that a check is told by."""
    problem = {"problem": check.problem}
    ended_s = check.ended_at.timestamp() if check.ended_at else 0.0
    samples = [
        ("pilothouse_check_level", Sample(problem, _LEVELS[report.verdict.level])),
        ("pilothouse_check_ended_timestamp_seconds", Sample(problem, ended_s)),
        ("pilothouse_check_rows", Sample(problem, float(report.compared.analysis.rows))),
    ]
    for name, value in check_metrics(report).items():
        kind, _, rest = name.partition(".")
        if rest and kind in _TOLD:
            metric, label = _TOLD[kind]
            samples.append((metric, Sample({**problem, label: rest}, value)))
    return samples
