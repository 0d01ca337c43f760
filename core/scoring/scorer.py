"""Scores records with a bundle: derived features, then onnxruntime. No Spark, no Ray."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from core.errors import TrainingError
from core.problems.contract import Columns, Problem

OUTPUT = "probability"
_LOADING_ERRORS = tuple(
    getattr(onnxruntime_errors, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
)


class Scorer:
    """One model ready to score.

    ONNX inputs are named like the features, shape (rows, 1): float32 for numbers
    with NaN for missing, string for categories with the empty string for missing.
    The output ``probability`` is float64 of shape (rows,).
    """

    def __init__(self, problem: Problem, model: bytes) -> None:
        """Loads ONNX bytes.

        Raises:
            TrainingError: they are no model that this release can run.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._problem = problem
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except _LOADING_ERRORS as exc:
            raise TrainingError("The model file cannot be loaded.") from exc
        #: Features that the model takes, in its order.
        self.inputs: tuple[str, ...] = tuple(node.name for node in self._session.get_inputs())
        self._numeric = tuple(n for n in problem.numeric_features if n in self.inputs)
        self._categorical = tuple(n for n in problem.categorical_features if n in self.inputs)

    @property
    def unknown_inputs(self) -> tuple[str, ...]:
        """Inputs that the problem, as it is now, does not give: then nothing can be scored."""
        known = {*self._numeric, *self._categorical}
        return tuple(name for name in self.inputs if name not in known)

    def probabilities(self, columns: Columns) -> npt.NDArray[np.float64]:
        """Probability of the positive class, shape (rows,), for the contract's columns."""
        features = self._problem.with_derived(columns)
        feed: dict[str, npt.NDArray[np.generic]] = {
            name: features[name].astype(np.float32).reshape(-1, 1) for name in self._numeric
        }
        for name in self._categorical:
            values = features[name]
            filled = np.where(values == None, "", values)  # noqa: E711 - elementwise on objects
            feed[name] = filled.astype(object).reshape(-1, 1)
        (probability,) = self._session.run([OUTPUT], feed)
        result: npt.NDArray[np.float64] = np.asarray(probability, dtype=np.float64).reshape(-1)
        return result
