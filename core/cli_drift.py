"""Commands on checks: is the world the same, does the model still work."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from core.bootstrap import Pilothouse
from core.cli_output import CONSOLE, ERRORS, FAILED, Json, print_json, print_table
from core.cli_session import sign_in
from core.domain import RunStatus
from core.domain_watching import Check, Level
from core.errors import InvalidInputError, UnavailableError
from core.monitoring.estimator_words import estimator_sentences
from core.monitoring.report import ColumnDrift, DriftReport
from core.monitoring.report_performance import Estimator, MetricCourse

POLL_S = 0.5
#: Exit codes beside 0, for no or mild drift, and 1, for an error.
CRITICAL, NOT_ENOUGH_DATA = 42, 3
MOST_COLUMNS = 15
Problem = Annotated[str, typer.Argument(help="Name of the problem.")]
CheckId = Annotated[str, typer.Argument(help="Id of the check.")]

checks_app = typer.Typer(no_args_is_help=True, help="Look at checks and cancel them.")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("drift")(drift)
    app.add_typer(checks_app, name="checks")


def drift(
    problem: Problem,
    batch: Annotated[str | None, typer.Option(help="Id of a batch.")] = None,
    window: Annotated[
        str | None, typer.Option(help="Last hours of the inference log, such as 24h.")
    ] = None,
    last_rows: Annotated[
        int | None, typer.Option(min=1, help="Last rows of the inference log.")
    ] = None,
    domain_classifier: Annotated[
        bool,
        typer.Option(
            "--domain-classifier",
            help="Train a domain classifier too, whatever params.yaml says; takes longer.",
        ),
    ] = False,
    wait: Annotated[bool, typer.Option(help="Return when the check has ended.")] = True,
    as_json: Json = False,
) -> None:
    """Check a batch or a window of the inference log against the reference.

    Exits with 0 for no or mild drift, 42 for critical drift, 3 for not enough data and 1 for
    an error. Without --wait it exits with 0 once the check has started.
    """
    if sum(one is not None for one in (batch, window, last_rows)) > 1:
        raise InvalidInputError(
            "A check looks at one thing.", fix="Give one of --batch, --window and --last-rows."
        )
    pilothouse, actor = sign_in()
    check = pilothouse.monitoring.start(
        problem,
        batch_id=batch,
        window=window if last_rows is None else f"{last_rows} rows",
        domain_classifier=domain_classifier,
        actor=actor,
    )
    if wait:
        check = _follow(pilothouse, check)
    _show(pilothouse, check, as_json=as_json)
    raise typer.Exit(exit_code(check))


def exit_code(check: Check) -> int:
    """What a script is told of a check."""
    if check.status in (RunStatus.FAILED, RunStatus.CANCELLED):
        return FAILED
    told = {Level.CRITICAL: CRITICAL, Level.NOT_ENOUGH_DATA: NOT_ENOUGH_DATA}
    return 0 if check.level is None else told.get(check.level, 0)


def _follow(pilothouse: Pilothouse, check: Check) -> Check:
    with ERRORS.status("queued") as shown:
        while check.status.is_active:
            time.sleep(POLL_S)
            try:
                progress = pilothouse.monitoring.progress(check.id)
            except UnavailableError:
                progress = None
            if progress is not None:
                shown.update(f"{progress.percent:3d} % {progress.message}")
            check = pilothouse.monitoring.get(check.id)
    return check


def _show(pilothouse: Pilothouse, check: Check, *, as_json: bool) -> None:
    """Prints a check and, once it has finished, what it found."""
    report = None
    if check.status is RunStatus.FINISHED:
        report = pilothouse.monitoring.report(check.id)
    if as_json:
        print_json({"id": check.id, "check": check, "report": report})
        return
    CONSOLE.print(_sentence(check), highlight=False, markup=False)
    if report is not None:
        _print_report(report)


def _sentence(check: Check) -> str:
    what = f"batch {check.batch_id}" if check.batch_id else f"the last {check.window}"
    text = f"Check {check.id} of {check.problem}, {what}, is {check.status.value}."
    return f"{text} {check.error or ''}".strip()


def _print_report(report: DriftReport) -> None:
    verdict, compared = report.verdict, report.compared
    CONSOLE.print(f"{verdict.level.value}: {verdict.summary}", highlight=False, markup=False)
    sides = (
        f"{compared.analysis.rows} rows against {compared.reference.rows} that "
        f"version {compared.version} learned from ({compared.reference.data_version})"
    )
    CONSOLE.print(sides, highlight=False, markup=False)
    columns = [*report.features[:MOST_COLUMNS], *filter(None, [report.prediction])]
    print_table(
        "Columns, those that drift most first",
        ["column", "PSI", "level", "alerts", "missing then", "missing now"],
        [_row(drift, report) for drift in columns],
    )
    print_table(
        "Performance",
        ["metric", "reference", "estimated", "realized", "labels"],
        [
            (
                told.metric,
                told.reference_value,
                _course(told.estimated),
                _course(told.realized),
                report.labelled_rows,
            )
            for told in report.performance
        ],
    )
    if report.estimator is not None:
        _print_estimator(report.estimator)
    for note in report.notes:
        CONSOLE.print(f"Note: {note}", highlight=False, markup=False)


def _print_estimator(estimator: Estimator) -> None:
    for sentence in (estimator.text, *estimator_sentences(estimator)):
        CONSOLE.print(sentence, highlight=False, markup=False)
    if estimator.past:
        print_table(
            "Past error of the estimate, newest first",
            ["check", "metric", "labels", "estimated", "realized", "error", "standard error"],
            [
                (
                    one.check_id,
                    one.metric,
                    one.rows,
                    one.estimated,
                    one.realized,
                    one.error,
                    one.standard_error,
                )
                for one in estimator.past
            ],
        )


def _row(drift: ColumnDrift, report: DriftReport) -> tuple[object, ...]:
    alerts = ", ".join(method.method for method in drift.methods if method.alert)
    shares = [
        (f"{one.missing_share_reference:.1%}", f"{one.missing_share_analysis:.1%}")
        for one in report.quality
        if one.column == drift.column
    ]
    return (drift.column, drift.psi, drift.level.value, alerts, *(shares or [("", "")])[0])


def _course(course: MetricCourse | None) -> str:
    if course is None or course.value is None:
        return course.note if course is not None else ""
    band = (
        f" [{course.low:.4f}, {course.high:.4f}]" if None not in (course.low, course.high) else ""
    )
    return f"{course.value:.4f}{band}"


@checks_app.command("list")
def list_checks(
    problem: Annotated[str | None, typer.Argument(help="Name of the problem.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """List checks, newest first."""
    found = sign_in().pilothouse.monitoring.list(problem, limit)
    if as_json:
        print_json(found)
        return
    header = ["id", "problem", "of", "status", "level", "rows", "started", "by"]
    rows = [
        (
            check.id,
            check.problem,
            check.batch_id or check.window,
            check.status.value,
            check.level.value if check.level else "",
            check.rows,
            check.started_at,
            check.started_by,
        )
        for check in found
    ]
    print_table("Checks", header, rows)


@checks_app.command("show")
def show_check(check_id: CheckId, as_json: Json = False) -> None:
    """Show a check and, once it has finished, what it found."""
    pilothouse = sign_in().pilothouse
    _show(pilothouse, pilothouse.monitoring.get(check_id), as_json=as_json)


@checks_app.command("logs")
def show_log(
    check_id: CheckId,
    tail: Annotated[int, typer.Option(min=1, help="Lines from the end.")] = 200,
) -> None:
    """Print the log of a check."""
    typer.echo(sign_in().pilothouse.monitoring.log(check_id, tail=tail))


@checks_app.command("cancel")
def cancel_check(check_id: CheckId, as_json: Json = False) -> None:
    """End a check; returns once its process is gone."""
    pilothouse, actor = sign_in()
    ended = pilothouse.monitoring.cancel(check_id, actor=actor)
    if as_json:
        print_json(ended)
    else:
        CONSOLE.print(_sentence(ended), highlight=False, markup=False)
