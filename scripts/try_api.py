"""Sends rows that no model was trained on to the running endpoint and says how it did.

    .venv/bin/python scripts/try_api.py --problem titanic --rows 20

One request a row, so that the latency is that of one caller who waits. The rows are those that
come after training (Titanic: the 418 of the test set), whose labels are known.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import numpy as np
import pyarrow as pa
import typer

from core.bootstrap import LATER_ROWS
from core.cli_output import CONSOLE, print_table, say_error
from core.errors import NotFoundError, PilothouseError, UnavailableError
from core.problems import load_problem
from core.problems.contract import Contract, Field, Problem
from core.settings import load_settings

TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Answer:
    """What came back for one row, and what turned out to be true."""

    label: object
    probability: float
    truth: object
    latency_ms: float
    version: int

    @property
    def is_right(self) -> bool:
        """Whether the label is the true one."""
        return str(self.label) == str(self.truth)


def main(
    problem: Annotated[str, typer.Option(help="Name of the problem.")],
    rows: Annotated[int, typer.Option(min=1, help="Rows to send.")] = 20,
    key: Annotated[
        str, typer.Option(envvar="PILOTHOUSE_KEY", help="A key, where keys are required.")
    ] = "",
    url: Annotated[str, typer.Option(help="Address of the endpoint; default: this one's.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of rows.")] = 7,
) -> None:
    """Try the endpoint with rows that no model has seen."""
    try:
        settings = load_settings()
        found = load_problem(problem, settings.packages)
        later = later_rows(found)
        chosen = np.random.default_rng(seed).choice(
            later.num_rows, min(rows, later.num_rows), False
        )
        answers = ask(url or settings.serving_url, found, later.take(np.sort(chosen)), key)
    except PilothouseError as exc:
        say_error(exc)
        raise typer.Exit(1) from exc
    show(found, answers)


def later_rows(problem: Problem) -> pa.Table:
    """The rows that come after training, with their labels.

    Raises:
        NotFoundError: the problem names none.
    """
    if problem.arrivals is None:
        raise NotFoundError(
            f"{problem.name} has no rows beside those it was trained on.",
            fix="Give its problem file an `arrivals`.",
        )
    source = problem.arrivals.source
    return LATER_ROWS[source.provider](source.name)


def ask(url: str, problem: Problem, rows: pa.Table, key: str) -> list[Answer]:
    """Sends one row after the other.

    Raises:
        PilothouseError: nobody answers, or no prediction comes back.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answers = []
    with httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False) as client:
        for row in rows.to_pylist():
            body = {"records": [record_of(row, problem.contract)]}
            started = time.perf_counter()
            try:
                response = client.post(f"/predict/{problem.name}", json=body)
            except httpx.HTTPError as exc:
                raise UnavailableError(
                    f"Nobody answers at {url}.", fix="Run `make up`, or give --url."
                ) from exc
            latency_ms = (time.perf_counter() - started) * 1000.0
            if not response.is_success:
                raise PilothouseError(f"The endpoint says {response.status_code}: {response.text}")
            told, version = response.json()["predictions"][0], response.json()["model_version"]
            truth = row[problem.contract.label.name]
            answers.append(Answer(told["label"], told["probability"], truth, latency_ms, version))
    return answers


def record_of(row: dict[str, Any], contract: Contract) -> dict[str, Any]:
    """A row as a caller would write it: the contract's fields and the texts they come from."""
    texts = [source.name for source in contract.reduced]
    given = {
        field.name: _plain(row[field.name], field) for field in contract.fields if field.name in row
    }
    return given | {name: row[name] for name in texts if name in row}


def _plain(value: Any, field: Field) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return value if field.type.is_numeric else str(value)


def show(problem: Problem, answers: Sequence[Answer]) -> None:
    """Prints every answer, then latency and accuracy."""
    label = problem.contract.label
    print_table(
        f"{problem.title}, version {answers[0].version}",
        [f"predicted {label.name}", f"P({label.positive_meaning})", "true", "", "ms"],
        [
            [
                answer.label,
                f"{answer.probability:.3f}",
                answer.truth,
                "right" if answer.is_right else "wrong",
                f"{answer.latency_ms:.1f}",
            ]
            for answer in answers
        ],
    )
    p50, p95 = np.percentile([answer.latency_ms for answer in answers], [50, 95])
    right = sum(answer.is_right for answer in answers)
    CONSOLE.print(
        f"accuracy {right / len(answers):.3f} ({right} of {len(answers)} rows)\n"
        f"latency p50 {p50:.1f} ms, p95 {p95:.1f} ms",
        highlight=False,
        markup=False,
    )


if __name__ == "__main__":
    typer.run(main)
