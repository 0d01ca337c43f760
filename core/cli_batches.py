"""Commands on batches of new data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from core.cli_output import CONSOLE, ERRORS, Json, print_json, print_table
from core.cli_session import sign_in
from core.data.batch_comparison import BatchComparison
from core.data.label_join import labels_sentence
from core.domain import Batch

ProblemName = Annotated[str, typer.Argument(help="Name of the problem.")]
BatchId = Annotated[str, typer.Argument(help="Id of the batch.")]

batch_app = typer.Typer(no_args_is_help=True, help="Add batches of new data and look at them.")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(batch_app, name="batch")


@batch_app.command("add")
def add_batch(
    problem: ProblemName,
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file, up to `intake.max_file_mb`.")],
    as_json: Json = False,
) -> None:
    """Check a file against the problem's contract and store its rows."""
    pilothouse, actor = sign_in()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=ERRORS, transient=True) as progress:
        task = progress.add_task("opening", total=1.0)
        added = pilothouse.batches.add(
            problem,
            file,
            name=file.name,
            actor=actor,
            on_progress=lambda share, doing: progress.update(
                task, completed=share, description=doing
            ),
        )
    if as_json:
        print_json({"id": added.batch.id, "is_new": added.is_new, "batch": added.batch})
        return
    if not added.is_new:
        CONSOLE.print(
            f"The same file is there already: batch {added.batch.id}, added "
            f"{added.batch.added_at:%Y-%m-%d %H:%M} UTC by {added.batch.added_by}.",
            highlight=False,
            markup=False,
        )
    _print_batch(added.batch)


@batch_app.command("labels")
def add_labels(
    problem: ProblemName,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or Parquet: batch_id and row_id, or request_id and index, and the label."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Take late labels of batches or of answered predictions."""
    pilothouse, actor = sign_in()
    with ERRORS.status("joining the labels"):
        report = pilothouse.labels.add(problem, file, actor=actor)
    if as_json:
        print_json({"id": problem, "labels": report})
    else:
        CONSOLE.print(labels_sentence(report), highlight=False, markup=False)


@batch_app.command("list")
def list_batches(
    problem: ProblemName,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """List batches of a problem, newest first."""
    found = sign_in().pilothouse.batches.list(problem, limit)
    if as_json:
        print_json(found)
        return
    header = ["id", "file", "rows", "labels", "from", "to", "added", "by", "data version"]
    rows = [
        (
            one.id,
            one.name,
            one.rows,
            one.given_labels,
            one.first_at,
            one.last_at,
            one.added_at,
            one.added_by,
            one.data_version[:12],
        )
        for one in found
    ]
    print_table(f"Batches of {problem}", header, rows)


@batch_app.command("show")
def show_batch(batch_id: BatchId, as_json: Json = False) -> None:
    """Show what is known of a batch."""
    batch = sign_in().pilothouse.batches.get(batch_id)
    if as_json:
        print_json(batch)
    else:
        _print_batch(batch)


def _print_batch(batch: Batch) -> None:
    facts = [
        ("file", batch.name),
        ("rows", batch.rows),
        ("labels", batch.given_labels),
        ("from", batch.first_at),
        ("to", batch.last_at),
        ("added", batch.added_at),
        ("by", batch.added_by),
        ("data version", batch.data_version),
        ("SHA-256 of the file", batch.sha256),
        ("dropped", ", ".join(batch.dropped)),
    ]
    shown = [(name, value) for name, value in facts if value not in (None, "")]
    print_table(f"Batch {batch.id} of {batch.problem}", ["", ""], shown)
    if batch.findings:
        print_table(
            "Accepted, but unusual",
            ["column", "what", "rows"],
            [(one.column, one.rule, one.rows) for one in batch.findings],
        )


@batch_app.command("compare")
def compare_batches(
    batch_id: BatchId,
    other: Annotated[str, typer.Argument(help="Id of another batch, or `reference`.")],
    as_json: Json = False,
) -> None:
    """Hold a batch against another one, or against the reference of Production."""
    found = sign_in().pilothouse.batches.compare(batch_id, other)
    if as_json:
        print_json({"batch": batch_id, "other": other, "comparison": found})
        return
    _print_comparison(batch_id, other, found)


def _print_comparison(batch_id: str, other: str, found: BatchComparison) -> None:
    pair = (found.first, found.second)
    facts = [
        ("rows", *(one.rows for one in pair)),
        ("labels", *(one.labelled for one in pair)),
        ("from", *(one.first_at for one in pair)),
        ("to", *(one.last_at for one in pair)),
    ]
    titles = ["", other, batch_id]
    shown = [row for row in facts if any(value is not None for value in row[1:])]
    print_table("Tables", titles, shown)
    print_table(
        "Columns",
        ["column", *titles[1:], "today's contract", ""],
        [
            (
                one.name,
                *(kind or "missing" for kind in (one.first, one.second, one.contract)),
                "differs" if one.differs else "",
            )
            for one in found.schema
        ],
    )
    rows: list[tuple[object, ...]] = []
    for column in sorted(found.columns, key=lambda one: one.distance, reverse=True):
        for index, one in enumerate(column.shares):
            name = f"{column.name} ({column.type})" if index == 0 else ""
            rows.append((name, one.name, f"{one.first:.1%}", f"{one.second:.1%}"))
    print_table("Shares of rows, what differs most first", ["column", "value", *titles[1:]], rows)
