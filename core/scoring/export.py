"""Turns a saved Spark pipeline into one ONNX graph: contract features in, probability out.

The graph takes one input a feature, shape (rows, 1): float32 with NaN for missing,
or string with the empty string for missing. It gives ``probability``, float64 of
shape (rows,). The same saved model gives the same bytes.

Public converters read Spark's trees wrongly (categorical splits, unseen and missing
categories), hence our own; a run checks every export against Spark.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from core.errors import TrainingError
from core.problems.contract import Problem
from core.scoring.export_saved import read_saved
from core.scoring.export_trees import ML_DOMAIN, ensemble_node
from core.scoring.saved_model import SavedClassifier, SavedFeatures, SavedLinear, SavedTrees

OUTPUT = "probability"
#: Versions that onnxruntime reads; fixed, so that the bytes do not follow the library.
OPSET = 17
ML_OPSET = 3
IR_VERSION = 8


def export_onnx(saved_model_dir: Path, problem: Problem) -> bytes:
    """Returns the ONNX file of a pipeline that ``join_stages`` made and Spark saved.

    Raises:
        NotFoundError: the folder holds no saved pipeline.
        RowCountError: a part of the model was lost when it was saved.
        TrainingError: the pipeline does not fit the problem or cannot be exported.
    """
    features, classifier = read_saved(saved_model_dir)
    _check_fit(features, problem)
    graph = _Graph()
    indexes = [
        _index(graph, name, labels, fill_mode=name in _nullable(problem))
        for name, labels in zip(problem.categorical_features, features.labels, strict=True)
    ]
    numbers = _fill_numbers(graph, problem.numeric_features, features)
    _add_classifier(graph, classifier, features, indexes, numbers)
    return _serialize(graph, problem)


@dataclass
class _Graph:
    """Operators and constants in the making; inner names cannot meet a feature's."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, values: npt.NDArray[np.generic]) -> str:
        name = f"pilothouse/constant/{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def name(self) -> str:
        return f"pilothouse/value/{len(self.nodes)}"

    def add(self, operator: str, *inputs: str, **attributes: object) -> str:
        target = self.name()
        self.nodes.append(helper.make_node(operator, list(inputs), [target], **attributes))
        return target

    def cast(self, value: str, to: int) -> str:
        return self.add("Cast", value, to=to)

    def concat(self, values: list[str]) -> str:
        return self.add("Concat", *values, axis=1)


def _check_fit(features: SavedFeatures, problem: Problem) -> None:
    slots = sum(map(len, features.labels)) + len(features.medians)
    if (
        len(features.labels) != len(problem.categorical_features)
        or len(features.medians) != len(problem.numeric_features)
        or len(features.means) != slots
    ):
        raise TrainingError(
            f"The saved model has other features than problem {problem.name}.",
            fix="Train again: the problem's file has changed since.",
        )
    names = {*problem.categorical_features, *problem.numeric_features}
    if OUTPUT in names:
        raise TrainingError(
            f"A feature cannot be called {OUTPUT!r}: the exported model answers under that name.",
            fix="Rename it in the problem's file.",
        )


def _nullable(problem: Problem) -> set[str]:
    return {f.name for f in problem.contract.fields if f.nullable}


def _index(graph: _Graph, name: str, labels: tuple[str, ...], *, fill_mode: bool) -> str:
    """Index of a category, int64 (rows, 1); unseen values get the one after the last.

    A missing value of a nullable field is the mode, which is the first label.
    """
    codes = {label: code for code, label in enumerate(labels)}
    if fill_mode:
        codes[""] = 0
    if not codes:
        # Every value is unseen; the operator wants at least one key.
        codes[""] = 0
    return graph.add(
        "LabelEncoder",
        name,
        domain=ML_DOMAIN,
        keys_strings=list(codes),
        values_int64s=list(codes.values()),
        default_int64=len(labels),
    )


def _fill_numbers(graph: _Graph, names: tuple[str, ...], features: SavedFeatures) -> list[str]:
    """Numbers as one float32 matrix (rows, numbers) with medians for NaN, if there are any."""
    if not names:
        return []
    matrix = graph.concat(list(names))
    # Spark keeps the median as a double and casts it to the column's type.
    medians = graph.constant(features.medians.astype(np.float32).reshape(1, -1))
    return [graph.add("Where", graph.add("IsNaN", matrix), medians, matrix)]


def _add_classifier(
    graph: _Graph,
    classifier: SavedClassifier,
    features: SavedFeatures,
    indexes: list[str],
    numbers: list[str],
) -> None:
    if isinstance(classifier, SavedLinear):
        probability = _linear(graph, classifier, features, indexes, numbers)
    else:
        probability = _trees(graph, classifier, indexes, numbers)
    flat = graph.constant(np.array([-1], dtype=np.int64))
    graph.nodes.append(helper.make_node("Reshape", [probability, flat], [OUTPUT]))


def _linear(
    graph: _Graph,
    model: SavedLinear,
    features: SavedFeatures,
    indexes: list[str],
    numbers: list[str],
) -> str:
    """Sigmoid of the margin in double; the scaler is folded into the coefficients."""
    slopes = model.coefficients * features.scales
    intercept = model.intercept - float(slopes @ features.means)
    terms: list[str] = []
    start = 0
    for index, labels in zip(indexes, features.labels, strict=True):
        end = start + len(labels)
        # One-hot times coefficients is a look-up; an unseen value adds nothing.
        table = graph.constant(np.append(slopes[start:end], 0.0))
        terms.append(graph.add("Gather", table, index))
        start = end
    for matrix in numbers:
        values = graph.cast(matrix, TensorProto.DOUBLE)
        terms.append(graph.add("MatMul", values, graph.constant(slopes[start:].reshape(-1, 1))))
    margin = graph.constant(np.array([[intercept]]))
    for term in terms:
        margin = graph.add("Add", margin, term)
    return graph.add("Sigmoid", margin)


def _trees(graph: _Graph, model: SavedTrees, indexes: list[str], numbers: list[str]) -> str:
    """Boosted: sigmoid of the margin, scaled and moved; else the mean share."""
    matrix = graph.concat([*(graph.cast(i, TensorProto.FLOAT) for i in indexes), *numbers])
    total = graph.name()
    graph.nodes.append(ensemble_node(model, matrix, total))
    total = graph.cast(total, TensorProto.DOUBLE)
    if model.boosted:
        margin = graph.add("Mul", total, graph.constant(np.array(model.slope)))
        if model.offset:
            margin = graph.add("Add", margin, graph.constant(np.array(model.offset)))
        return graph.add("Sigmoid", margin)
    return graph.add("Div", total, graph.constant(np.array(float(len(model.trees)))))


def _serialize(graph: _Graph, problem: Problem) -> bytes:
    numeric = set(problem.numeric_features)
    inputs = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT if name in numeric else TensorProto.STRING, ["rows", 1]
        )
        for name in (*problem.categorical_features, *problem.numeric_features)
    ]
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.DOUBLE, ["rows"])
    model = helper.make_model(
        helper.make_graph(graph.nodes, problem.name, inputs, [output], graph.constants),
        producer_name="pilothouse",
        opset_imports=[
            helper.make_opsetid("", OPSET),
            helper.make_opsetid(ML_DOMAIN, ML_OPSET),
        ],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
