"""Reads XGBoost's booster out of a saved Spark pipeline, as the same values as Spark's trees.

The format is XGBoost's own JSON, "Introduction to Model IO" of its documentation: a tree
is a set of parallel lists, and a leaf keeps its value where a split keeps its threshold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import RowCountError, TrainingError
from core.scoring.saved_model import SavedNode, SavedTrees

OBJECTIVE = "binary:logistic"


def read_xgboost(folder: Path) -> SavedTrees:
    """Reads a saved ``SparkXGBClassifierModel``.

    Raises:
        RowCountError: a part of the model was lost when it was saved.
        TrainingError: it is no model of two classes on numeric splits.
    """
    text = "".join(
        part.read_text(encoding="utf-8").rstrip("\n")
        for part in sorted((folder / "model").glob("part-*"))
    )
    try:
        learner = json.loads(text)["learner"]
    except ValueError as exc:
        raise RowCountError(
            "A part of the boosted trees was lost when the model was saved.",
            fix="Save to a folder that every executor shares.",
        ) from exc
    trees = learner["gradient_booster"]["model"]["trees"]
    is_numeric = all(kind == 0 for tree in trees for kind in tree["split_type"])
    if learner["objective"]["name"] != OBJECTIVE or not is_numeric:
        raise TrainingError(
            f"Only {OBJECTIVE} with numeric splits can be exported from XGBoost.",
            fix="Leave objective and enable_categorical out of the search space.",
        )
    return SavedTrees(
        boosted=True,
        trees=tuple(_tree(tree) for tree in trees),
        weights=(1.0,) * len(trees),
        offset=_base_margin(learner["learner_model_param"]["base_score"]),
    )


def _base_margin(written: str) -> float:
    """The margin that every row starts from; the file has it as a probability, in brackets."""
    probability = float(written.strip("[]"))
    return math.log(probability / (1.0 - probability))


def _tree(data: Mapping[str, Sequence[Any]]) -> tuple[SavedNode, ...]:
    return tuple(_node(data, place) for place in range(len(data["left_children"])))


def _node(data: Mapping[str, Sequence[Any]], place: int) -> SavedNode:
    value = np.float32(data["split_conditions"][place])
    left = int(data["left_children"][place])
    return SavedNode(
        left=left,
        right=int(data["right_children"][place]),
        feature=int(data["split_indices"][place]),
        # Values below go left; Spark's trees take those up to and including it.
        threshold=float(np.nextafter(value, np.float32(-np.inf))),
        left_categories=(),
        prediction=float(value) if left < 0 else 0.0,
        positive=0.0,
    )
