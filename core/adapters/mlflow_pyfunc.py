"""How MLflow itself loads a registered version: ``mlflow models serve``, ``mlflow.pyfunc``.

MLflow's own loader of ONNX models gives each input as a column of pandas, which is neither of
the shape nor, for texts, of a type that onnxruntime takes. A registered version names this
module as its loader instead. It takes records of the contract, as ``/invocations`` does, holds
them to its hard rules, and derives the features with the problem's own functions; so this
code has to be installed where a version is loaded. Nothing is unpickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from core.data.tables import ROW_ID, contract_columns
from core.data.validation import check, refusal
from core.errors import ConflictError
from core.problems import load_problem
from core.scoring.bundle import read_bundle
from core.scoring.scorer import Scorer
from core.settings import load_settings

if TYPE_CHECKING:
    from core.problems.contract import Problem


class RegisteredModel:
    """One version, as MLflow calls it."""

    def __init__(self, problem: Problem, scorer: Scorer, threshold: float) -> None:
        self._problem = problem
        self._scorer = scorer
        self._threshold = threshold

    def predict(self, records: pd.DataFrame, params: object = None) -> pd.DataFrame:
        """Columns ``label`` and ``probability`` (of the positive class), in the order given.

        A column of the contract that is absent is missing in every record; others are ignored.

        Raises:
            DataContractError: a record breaks a hard rule; the first 100 are named.
        """
        contract = self._problem.contract
        names = [field.name for field in contract.fields]
        frame = records.reindex(columns=names).reset_index(drop=True)
        frame[ROW_ID] = np.arange(len(records))
        if contract.timestamp:
            # The check of files asks when a row happened; a record to be scored need not say.
            frame[contract.timestamp] = pd.Timestamp.now("UTC")
        checked = check(
            pa.Table.from_pandas(frame, preserve_index=False), contract, needs_label=False
        )
        if checked.broken:
            raise refusal(checked.offences, checked.broken)
        columns = contract_columns(checked.validated.table, contract)
        probabilities = self._scorer.probabilities(columns)
        positive = probabilities >= self._threshold
        labels = np.where(positive, contract.label.positive, contract.label.negative)
        return pd.DataFrame({"label": labels, "probability": probabilities})


def _load_pyfunc(path: str) -> RegisteredModel:
    """Called by MLflow with the folder of a version.

    Raises:
        ConflictError: this code has another contract than the one it was trained under.
    """
    bundle = read_bundle(Path(path))
    facts = bundle.facts
    problem = load_problem(facts.problem, load_settings().packages)
    if not facts.fits(problem):
        raise ConflictError(
            f"The version was trained under another contract of {problem.name} than the one "
            "of this code.",
            fix="Load it with the code that it was trained with.",
        )
    return RegisteredModel(problem, Scorer(problem, bundle.model), facts.threshold)
