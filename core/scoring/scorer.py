"""Scores records with a bundle: derived features, then onnxruntime. No Spark, no Ray."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime

from core.problems.contract import Columns, Problem

OUTPUT = "probability"


class Scorer:
    """One model ready to score.

    ONNX inputs are named like the features, shape (rows, 1): float32 for numbers
    with NaN for missing, string for categories with the empty string for missing.
    The output ``probability`` is float64 of shape (rows,).
    """

    def __init__(self, problem: Problem, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._problem = problem
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        used = {node.name for node in self._session.get_inputs()}
        self._numeric = tuple(n for n in problem.numeric_features if n in used)
        self._categorical = tuple(n for n in problem.categorical_features if n in used)

    def probabilities(self, columns: Columns) -> npt.NDArray[np.float64]:
        """Probability of the positive class, shape (rows,), for the contract's columns."""
        features = self._problem.with_derived(columns)
        feed: dict[str, npt.NDArray[np.generic]] = {
            name: features[name].astype(np.float32).reshape(-1, 1) for name in self._numeric
        }
        for name in self._categorical:
            filled = ["" if value is None else value for value in features[name].tolist()]
            feed[name] = np.array(filled, dtype=object).reshape(-1, 1)
        (probability,) = self._session.run([OUTPUT], feed)
        result: npt.NDArray[np.float64] = np.asarray(probability, dtype=np.float64).reshape(-1)
        return result
