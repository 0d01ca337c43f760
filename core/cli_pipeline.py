"""Commands on what `dvc repro` has made: say whether it is good enough, and register it."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from core.adapters.dvc_pipeline import outdated_stages
from core.bootstrap import connect_tracking
from core.bootstrap_store import connect_training_data
from core.cli_output import CONSOLE, Json, print_json
from core.cli_session import sign_in
from core.delivery.earlier import (
    pipeline_workspace,
    present_report,
    report_of_commit,
    soft_findings,
)
from core.delivery.markdown import Judged, delivery_report
from core.delivery.registering import Registrar
from core.delivery.thresholds import Limits, judge
from core.domain import Run
from core.params import Params, load_params
from core.problems import require_problem
from core.settings import CODE_ROOT, load_settings
from core.training.own_server import tracking_server
from core.training.provenance import git_commit, provenance_here

#: What the thresholds keep from being delivered, as `pilothouse drift` says critical drift.
BELOW = 42
REPORT = "report.md"

pipeline_app = typer.Typer(
    no_args_is_help=True, help="Judge what `dvc repro` has made, and register it."
)
Problems = Annotated[
    list[str] | None, typer.Argument(help="Problems; without one, those of params.yaml.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(pipeline_app, name="pipeline")


@pipeline_app.command("report")
def report(
    problems: Problems = None,
    base: Annotated[str, typer.Option(help="Commit to compare with, such as main.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder for the report and its figures.")] = None,
    as_json: Json = False,
) -> None:
    """Hold the pipeline's metrics against thresholds and write a report as Markdown.

    Exits 0 if every problem passes, 42 if a threshold is not kept.
    """
    params = load_params(load_settings().params_file)
    judged = [_judged(name, base, params) for name in _chosen(problems, params.problems)]
    text = delivery_report(judged, git_commit(CODE_ROOT), base)
    if out is not None:
        _write(out, text, judged)
    if as_json:
        print_json([_told(one) for one in judged])
    elif out is None:
        typer.echo(text, nl=False)
    else:
        CONSOLE.print(f"The report is {out / REPORT}.", highlight=False, markup=False)
    for one in judged:
        if not (one.passes or as_json):
            _say_failures(one)
    if not all(one.passes for one in judged):
        raise typer.Exit(BELOW)


@pipeline_app.command("register")
def register_models(problems: Problems = None, as_json: Json = False) -> None:
    """Register the pipeline's models; the worker then considers them like those of runs.

    No service has to be up.
    """
    pilothouse, actor = sign_in()
    chosen = _chosen(problems, pilothouse.problems)
    settings = pilothouse.settings
    registrar = Registrar(
        database=pilothouse.database,
        tracking=connect_tracking(settings),
        trail=pilothouse.audit,
        profile=pilothouse.params.profile,
        root=CODE_ROOT,
        outdated=outdated_stages,
        server=partial(tracking_server, settings),
        keep_rows=connect_training_data(settings).try_to_keep,
        provenance=partial(provenance_here, settings.packages),
    )
    runs = [registrar.register(pilothouse.problems[name], actor=actor) for name in chosen]
    if as_json:
        print_json(runs)
        return
    for run in runs:
        CONSOLE.print(_sentence(run), highlight=False, markup=False)


def _sentence(run: Run) -> str:
    return f"Run {run.id} registered version {run.model_version} of {run.problem}."


def _chosen(named: Sequence[str] | None, known: Collection[str]) -> list[str]:
    for name in named or ():
        require_problem(name, known)
    return list(named or known)


def _judged(problem: str, base: str, params: Params) -> Judged:
    found = present_report(CODE_ROOT, problem)
    earlier = report_of_commit(CODE_ROOT, problem, base) if base else None
    limits = Limits(
        parity_tolerance=params.training.evaluation.parity_tolerance,
        thresholds=params.delivery.thresholds.get(problem, {}),
        auc_loss=params.delivery.auc_loss,
        class_loss=params.promotion.class_loss,
    )
    return Judged(found, earlier, judge(found, earlier, limits), soft_findings(CODE_ROOT, problem))


def _write(folder: Path, text: str, judged: Sequence[Judged]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).write_text(text, encoding="utf-8")
    for one in judged:
        problem = one.report.problem
        for figure in sorted(pipeline_workspace(CODE_ROOT, problem).figures.glob("*.png")):
            shutil.copyfile(figure, folder / f"{problem}-{figure.name}")


def _told(one: Judged) -> dict[str, object]:
    return {
        "id": one.report.problem,
        "passes": one.passes,
        "verdicts": one.verdicts,
        "metrics": dict(one.report.metrics),
    }


def _say_failures(one: Judged) -> None:
    for failure in one.failures:
        said = f"{one.report.problem}, {failure.gate}: {failure.reason}"
        CONSOLE.print(said, highlight=False, markup=False, soft_wrap=True)
