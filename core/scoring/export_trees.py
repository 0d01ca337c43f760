"""Tree ensembles as one ONNX ``TreeEnsembleRegressor`` (ai.onnx.ml 3, SUM).

Spark compares doubles, ONNX float32. Features are float32 values on both sides, so a
threshold becomes the largest float32 that is not above Spark's: the same values
go left.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper

from core.scoring.saved_model import SavedNode, SavedTrees

ML_DOMAIN = "ai.onnx.ml"


@dataclass
class _Attributes:
    """The operator's parallel lists, one entry a node, and one a leaf."""

    nodes_treeids: list[int] = field(default_factory=list)
    nodes_nodeids: list[int] = field(default_factory=list)
    nodes_featureids: list[int] = field(default_factory=list)
    nodes_modes: list[str] = field(default_factory=list)
    nodes_values: list[float] = field(default_factory=list)
    nodes_truenodeids: list[int] = field(default_factory=list)
    nodes_falsenodeids: list[int] = field(default_factory=list)
    target_treeids: list[int] = field(default_factory=list)
    target_nodeids: list[int] = field(default_factory=list)
    target_ids: list[int] = field(default_factory=list)
    target_weights: list[float] = field(default_factory=list)

    def add_node(
        self, tree: int, node: int, mode: str, feature: int, value: float, true: int, false: int
    ) -> None:
        self.nodes_treeids.append(tree)
        self.nodes_nodeids.append(node)
        self.nodes_modes.append(mode)
        self.nodes_featureids.append(feature)
        self.nodes_values.append(value)
        self.nodes_truenodeids.append(true)
        self.nodes_falsenodeids.append(false)

    def add_leaf(self, tree: int, node: int, weight: float) -> None:
        self.add_node(tree, node, "LEAF", 0, 0.0, 0, 0)
        self.target_treeids.append(tree)
        self.target_nodeids.append(node)
        self.target_ids.append(0)
        self.target_weights.append(weight)


def ensemble_node(saved: SavedTrees, source: str, target: str) -> onnx.NodeProto:
    """Returns the operator that sums the leaves of all trees.

    ``source`` is the float32 matrix (rows, features); ``target`` is (rows, 1):
    the margin of boosted trees, otherwise the sum of the leaves' positive shares.
    """
    out = _Attributes()
    for tree, (nodes, weight) in enumerate(zip(saved.trees, saved.weights, strict=True)):
        _add_tree(out, tree, nodes, weight, boosted=saved.boosted)
    return helper.make_node(
        "TreeEnsembleRegressor",
        [source],
        [target],
        domain=ML_DOMAIN,
        aggregate_function="SUM",
        post_transform="NONE",
        n_targets=1,
        **vars(out),
    )


def _add_tree(
    out: _Attributes, tree: int, nodes: tuple[SavedNode, ...], weight: float, *, boosted: bool
) -> None:
    spare = len(nodes)
    for place, node in enumerate(nodes):
        if node.is_leaf:
            out.add_leaf(tree, place, weight * node.prediction if boosted else node.positive)
            continue
        if not node.left_categories:
            limit = float32_not_above(node.threshold)
            out.add_node(tree, place, "BRANCH_LEQ", node.feature, limit, node.left, node.right)
            continue
        # A set of categories is a chain of equalities that share the left child; the
        # last one that fails goes right.
        *others, last = node.left_categories
        at = place
        for category in others:
            out.add_node(tree, at, "BRANCH_EQ", node.feature, float(category), node.left, spare)
            at, spare = spare, spare + 1
        out.add_node(tree, at, "BRANCH_EQ", node.feature, float(last), node.left, node.right)


def float32_not_above(value: float) -> float:
    """The largest float32 that is not above ``value``."""
    with np.errstate(over="ignore"):
        near = np.float32(value)
    return float(near if float(near) <= value else np.nextafter(near, np.float32(-np.inf)))
