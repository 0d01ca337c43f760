"""ONNX models small enough to read: a logistic function of a few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def tiny_model(weights: Mapping[str, float], bias: float = 0.0) -> bytes:
    """The probability is a logistic function of the weighted sum of inputs and ``bias``."""
    return _model(tuple(weights.items()), bias)


@cache
def _model(weights: tuple[tuple[str, float], ...], bias: float) -> bytes:
    nodes, constants = [], [_constant("bias", bias)]
    total = "bias"
    for name, weight in weights:
        constants.append(_constant(f"{name}_weight", weight))
        nodes += [
            helper.make_node("Mul", [name, f"{name}_weight"], [f"{name}_share"]),
            helper.make_node("Add", [total, f"{name}_share"], [f"{name}_sum"]),
        ]
        total = f"{name}_sum"
    nodes.append(helper.make_node("Sigmoid", [total], ["probability"]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name, _ in weights],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _constant(name: str, value: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([[value]], dtype=np.float32), name)
