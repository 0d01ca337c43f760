"""The peer: a service as one writes it by hand, with uvicorn, FastAPI, pydantic and onnxruntime.

Usage: ``python -m benchmarks.serving_fastapi PORT MODEL``. It validates and keeps no log.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, create_model

from core.hosts import LOOPBACK
from core.problems import load_problem
from core.problems.contract import Columns, Contract, FieldType
from core.problems.contract import Field as Column
from core.scoring.scorer import Scorer

PACKAGES = ("core.problems",)
_TYPES = {FieldType.INTEGER: int, FieldType.NUMBER: float, FieldType.CATEGORY: str}
#: Label and probability of each record; a probability is ``None`` where the model gives none.
Score = Callable[[Columns], Sequence[tuple[int | str, float | None]]]


class Prediction(BaseModel):
    """One answer."""

    label: int | str
    probability: float | None


class PredictAnswer(BaseModel):
    """Answers in the order of the records."""

    request_id: str
    predictions: list[Prediction]


def build_app(contract: Contract, score: Score, *, blocking: bool) -> FastAPI:
    """A service that validates records and answers with ``score``.

    ``blocking`` says that scoring takes long and belongs in a thread.
    """
    record: Any = create_model(
        "Record",
        __config__=ConfigDict(extra="forbid"),
        **{column.name: _definition(column) for column in contract.fields},
    )
    request: Any = create_model("Request", records=(list[record], ...))
    app = FastAPI()

    def answer(asked: Any) -> PredictAnswer:
        columns = {
            column.name: np.array(
                [getattr(each, column.name) for each in asked.records],
                dtype=np.float64 if column.type.is_numeric else object,
            )
            for column in contract.fields
        }
        predictions = [
            Prediction(label=label, probability=probability)
            for label, probability in score(columns)
        ]
        return PredictAnswer(request_id=uuid4().hex, predictions=predictions)

    def in_a_thread(asked: request) -> PredictAnswer:
        return answer(asked)

    async def on_the_loop(asked: request) -> PredictAnswer:
        return answer(asked)

    for handler in (in_a_thread, on_the_loop):
        # The class is made here, so its name says nothing to whoever reads annotations later.
        handler.__annotations__ = {"asked": request, "return": PredictAnswer}
    app.post("/predict")(in_a_thread if blocking else on_the_loop)
    return app


def run(app: FastAPI, port: int) -> None:
    """Serves until it is ended, with what uvicorn does by itself: uvloop and httptools."""
    uvicorn.run(app, host=LOOPBACK, port=port, log_level="warning", access_log=False)


def _definition(column: Column) -> Any:
    bounds = Field(ge=column.minimum, le=column.maximum)
    kind: Any = _TYPES[column.type]
    if column.type.is_numeric:
        kind = Annotated[kind, bounds]
    return (kind | None, None) if column.nullable else (kind, ...)


def main() -> None:
    """Serves one model of Titanic."""
    port, model = int(sys.argv[1]), Path(sys.argv[2]).read_bytes()
    problem = load_problem("titanic", PACKAGES)
    scorer, label = Scorer(problem, model), problem.contract.label

    def score(columns: Columns) -> Sequence[tuple[int | str, float | None]]:
        return [
            (label.positive if value >= 0.5 else label.negative, value)
            for value in scorer.probabilities(columns).tolist()
        ]

    run(build_app(problem.contract, score, blocking=False), port)


if __name__ == "__main__":
    main()
