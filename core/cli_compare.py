"""The command that lays runs side by side: the panel's comparison in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from core.bootstrap import Pilothouse
from core.cli_output import CONSOLE, Json, print_json, print_table
from core.cli_session import sign_in
from core.training.comparison import Incomparable, Resampling
from core.training.side_by_side import Side, lay_side_by_side
from core.training.verdicts import WORSE, slice_verdict, slices_summary, verdict_sentence
from core.wording import COSTS, cost, signed

#: Slices that a terminal shows of each run; ``--json`` has all of them.
_SLICES_SHOWN = 5


def register(runs_app: typer.Typer) -> None:
    """Adds the command to those on runs."""
    runs_app.command("compare")(compare_runs)


def compare_runs(
    run_ids: Annotated[
        list[str], typer.Argument(metavar="RUN RUN…", help="Runs; the first is the baseline.")
    ],
    as_json: Json = False,
) -> None:
    """Compare finished runs with the first one named: quality, cost, how surely better."""
    pilothouse = sign_in().pilothouse
    with CONSOLE.status("comparing row by row"):
        sides = lay_side_by_side(pilothouse.experiments, run_ids, _resampling(pilothouse))
    if as_json:
        print_json({"id": sides[0].run.id, "runs": [_document(side) for side in sides]})
        return
    names = [_name(side) for side in sides]
    print_table("On the holdout", ["metric", *names], _metric_rows(sides))
    print_table("What it cost", ["cost", *names], _cost_rows(sides))
    for side in sides[1:]:
        _say_against(side, names[0])


def _resampling(pilothouse: Pilothouse) -> Resampling:
    training = pilothouse.params.training
    chosen = training.evaluation
    return Resampling(chosen.bootstrap_samples, chosen.confidence, training.split.seed)


def _document(side: Side) -> dict[str, Any]:
    run, report = side.run, side.report
    return {
        "id": run.id,
        "version": run.model_version,
        "profile": run.profile,
        "family": report.family,
        "params": dict(report.params),
        "cv_auc": report.cv_auc,
        "metrics": {
            name: {**one.model_dump(), "difference": side.differences.get(name)}
            for name, one in report.metrics.items()
        },
        "costs": dict(side.costs),
        "against_baseline": side.against,
    }


def _name(side: Side) -> str:
    version = [] if side.run.model_version is None else [f"v{side.run.model_version}"]
    return " ".join([*version, side.report.family, side.run.id[:8]])


def _metric_rows(sides: Sequence[Side]) -> list[list[str]]:
    names = dict.fromkeys(name for side in sides for name in side.report.metrics)
    rows = [[name, *(_metric(side, name) for side in sides)] for name in names]
    first = sides[0].report.cv_auc
    cv = [f"{first:.4f}"]
    cv += [f"{s.report.cv_auc:.4f} ({signed(s.report.cv_auc - first, 4)})" for s in sides[1:]]
    return [*rows, ["cv_auc", *cv]]


def _metric(side: Side, name: str) -> str:
    if name not in side.report.metrics:
        return ""
    text = f"{side.report.metrics[name].value:.4f}"
    return f"{text} ({signed(side.differences[name], 4)})" if name in side.differences else text


def _cost_rows(sides: Sequence[Side]) -> list[list[str]]:
    known = [name for name in COSTS if any(name in side.costs for side in sides)]
    return [[COSTS[name], *(_cost(side, name) for side in sides)] for name in known]


def _cost(side: Side, name: str) -> str:
    return cost(name, side.costs[name]) if name in side.costs else ""


def _say_against(side: Side, baseline: str) -> None:
    if side.against is None:
        return
    found = side.against.auc
    if isinstance(found, Incomparable):
        CONSOLE.print(f"{_name(side)}: {found.reason}", highlight=False, markup=False)
        return
    said = verdict_sentence(_name(side), baseline, found)
    CONSOLE.print(f"{said} {slices_summary(side.against.slices)}", highlight=False, markup=False)
    rows = [
        (one.column, one.value, one.rows, one.difference, one.probability_better)
        for one in side.against.slices
        if slice_verdict(one) == WORSE
    ]
    if rows:
        header = ["column", "value", "rows", "AUC difference", "P(better)"]
        print_table(f"Slices on which {_name(side)} got worse", header, rows[:_SLICES_SHOWN])
