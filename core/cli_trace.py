"""The command that follows an answer back to what caused it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from core.cli_output import CONSOLE, FAILED, Json, print_json, print_table
from core.cli_session import sign_in
from core.deployment.lineage import Lineage, Missing
from core.deployment.lineage_words import chain
from core.deployment.replay import Replay

#: Replayed, and it is not what was answered.
NOT_THE_SAME = 3

RequestId = Annotated[str, typer.Argument(help="The request_id of an answer.")]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("trace")(trace)


def trace(
    request_id: RequestId,
    replay: Annotated[
        bool, typer.Option("--replay", help="Score the records again with the version that did.")
    ] = False,
    skip: Annotated[int, typer.Option(min=0, help="Leave out so many records at first.")] = 0,
    as_json: Json = False,
) -> None:
    """Show what an answer came from: version, run, data, code, and who decided.

    Exits 0 if the request is found and a replay is the same, 3 if it is not the same, 1 if
    the request is not found or cannot be replayed.
    """
    lineage = sign_in().pilothouse.tracing.trace(request_id, skip=skip, replay=replay)
    if as_json:
        print_json(lineage)
    else:
        _print(lineage)
    if isinstance(lineage.replay, Missing):
        raise typer.Exit(FAILED)
    if isinstance(lineage.replay, Replay) and not lineage.replay.same:
        raise typer.Exit(NOT_THE_SAME)


def _print(lineage: Lineage) -> None:
    rows = []
    for link in chain(lineage):
        said = Text("\n").join(
            [*map(Text, link.lines), *(Text(gap, style="yellow") for gap in link.gaps)]
        )
        rows.append((link.title, said))
    print_table(f"Request {lineage.id}", ["link", "is"], rows)
    _print_rows(lineage)
    if isinstance(lineage.replay, Missing):
        why = f"It cannot be replayed: {lineage.replay.missing}"
        CONSOLE.print(why, style="red", highlight=False, markup=False)
    elif lineage.replay is not None:
        style = "green" if lineage.replay.same else "red"
        CONSOLE.print(lineage.replay.summary, style=style, highlight=False, markup=False)


def _print_rows(lineage: Lineage) -> None:
    answer = lineage.answer
    names = list(answer.rows[0].features) if answer.rows else []
    replay = lineage.replay if isinstance(lineage.replay, Replay) else None
    replayed = {row.index: row for row in replay.rows} if replay else {}
    header = ["record", *names, "probability"]
    header += ["replayed", "label", "replayed label"] if replayed else []
    rows = []
    for row in answer.rows:
        cells: list[object] = [row.index, *map(_plain, row.features.values()), row.probability]
        if again := replayed.get(row.index):
            cells += [again.replayed, again.logged_label, again.replayed_label]
        rows.append(cells)
    last = f"to {rows[-1][0]}" if rows else "on"
    title = f"Records {'' if rows else 'from '}{answer.skipped} {last}, {answer.records:,} in all"
    print_table(title, header, rows)


def _plain(value: float | str | None) -> str | None:
    return f"{value:g}" if isinstance(value, float) else value
