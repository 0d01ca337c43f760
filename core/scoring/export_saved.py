"""Reads a saved Spark ``PipelineModel`` from its folder, without a JVM.

Each stage is a folder with its parameters as JSON and its numbers as Parquet; the
layouts are those of Spark 3.5.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import NotFoundError, RowCountError, TrainingError
from core.scoring.export_xgboost import read_xgboost
from core.scoring.saved_model import (
    Floats,
    SavedClassifier,
    SavedFeatures,
    SavedLinear,
    SavedNode,
    SavedTrees,
)


def read_saved(folder: Path) -> tuple[SavedFeatures, SavedClassifier]:
    """Reads the feature steps and the classifier of a saved pipeline.

    Raises:
        NotFoundError: the folder holds no saved pipeline.
        RowCountError: a part of the model was lost when it was saved.
        TrainingError: the pipeline has no classifier that can be exported.
    """
    stages = _stages(folder)
    labels: tuple[tuple[str, ...], ...] = ()
    medians = np.empty(0)
    if "StringIndexerModel" in stages:
        (row,) = _rows(stages["StringIndexerModel"])
        labels = tuple(tuple(values) for values in row["labelsArray"])
    if "ImputerModel" in stages:
        (row,) = _rows(stages["ImputerModel"])
        columns = _metadata(stages["ImputerModel"])["paramMap"]["inputCols"]
        medians = np.array([row[column] for column in columns])
    scaler = stages.get("StandardScalerModel")
    classifiers = [name for name in stages if name in _READERS]
    if len(classifiers) != 1 or scaler is None:
        raise TrainingError(f"{folder.name} does not hold feature steps and one classifier.")
    (row,) = _rows(scaler)
    spread = _dense(row["std"])
    # A constant slot has no spread; Spark makes it 0.
    scales = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread != 0)
    features = SavedFeatures(labels, medians, _dense(row["mean"]), scales)
    (kind,) = classifiers
    return features, _READERS[kind](stages[kind])


def _read_linear(folder: Path) -> SavedLinear:
    (row,) = _rows(folder)
    return SavedLinear(
        coefficients=_dense_row(row["coefficientMatrix"]),
        intercept=float(_dense(row["interceptVector"])[0]),
    )


def _read_forest(folder: Path) -> SavedTrees:
    trees, weights = _read_trees(folder)
    return SavedTrees(boosted=False, trees=trees, weights=weights)


def _read_boosted(folder: Path) -> SavedTrees:
    # Spark's log loss has the probability as the sigmoid of twice the margin.
    trees, weights = _read_trees(folder)
    return SavedTrees(boosted=True, trees=trees, weights=weights, slope=2.0)


def _read_trees(folder: Path) -> tuple[tuple[tuple[SavedNode, ...], ...], tuple[float, ...]]:
    expected = int(_metadata(folder)["numTrees"])
    weights = {row["treeID"]: float(row["weights"]) for row in _rows(folder, "treesMetadata")}
    table = _table(folder, "data")
    nodes: dict[int, dict[int, Mapping[str, Any]]] = {tree: {} for tree in range(expected)}
    for row in table.to_pylist():
        nodes[row["treeID"]][row["nodeData"]["id"]] = row["nodeData"]
    if len(weights) != expected or not all(map(_is_whole, nodes.values())):
        raise RowCountError(
            "A part of the trees was lost when the model was saved.",
            fix="Save to a folder that every executor shares.",
        )
    trees = tuple(
        tuple(_node(tree[place]) for place in range(len(tree))) for tree in nodes.values()
    )
    return trees, tuple(weights[tree] for tree in range(expected))


def _is_whole(tree: Mapping[int, Mapping[str, Any]]) -> bool:
    """Whether the root and every child that a node names are there."""
    named = {0} | {node[side] for node in tree.values() for side in ("leftChild", "rightChild")}
    return named - {-1} == set(range(len(tree)))


def _node(data: Mapping[str, Any]) -> SavedNode:
    split = data["split"]
    values: Sequence[float] = split["leftCategoriesOrThreshold"] or ()
    continuous = split["numCategories"] == -1
    stats = data["impurityStats"]
    # Boosted trees are regressions, whose statistics are not counts of classes.
    counts = sum(stats) if len(stats) == 2 else 0.0
    return SavedNode(
        left=data["leftChild"],
        right=data["rightChild"],
        feature=split["featureIndex"],
        threshold=values[0] if continuous and values else 0.0,
        left_categories=() if continuous else tuple(int(value) for value in values),
        prediction=data["prediction"],
        positive=stats[1] / counts if counts else 0.0,
    )


def _stages(folder: Path) -> dict[str, Path]:
    """Folders of all stages by class name; a pipeline inside a pipeline is unfolded."""
    found: dict[str, Path] = {}
    metadata = _metadata(folder)
    for position, uid in enumerate(metadata["paramMap"]["stageUids"]):
        width = len(str(len(metadata["paramMap"]["stageUids"])))
        stage = folder / "stages" / f"{position:0{width}d}_{uid}"
        kind = str(_metadata(stage)["class"]).rpartition(".")[2]
        found |= _stages(stage) if kind == "PipelineModel" else {kind: stage}
    return found


def _metadata(folder: Path) -> dict[str, Any]:
    parts = sorted((folder / "metadata").glob("part-*"))
    text = "".join(part.read_text(encoding="utf-8") for part in parts)
    if not text:
        raise NotFoundError(f"There is no saved Spark model in {folder.name}.")
    metadata: dict[str, Any] = json.loads(text)
    return metadata


def _table(folder: Path, data: str) -> pa.Table:
    # The parts are opened one by one: a folder is searched by rules that drop files
    # for a dot or an underscore at the start of a name.
    parts = sorted((folder / data).glob("part-*.parquet"))
    if not parts:
        raise RowCountError(
            f"The saved model lacks its {data} of {folder.name}.",
            fix="Save to a folder that every executor shares.",
        )
    return pa.concat_tables([pq.ParquetFile(part).read() for part in parts])


def _rows(folder: Path, data: str = "data") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _table(folder, data).to_pylist()
    return rows


def _dense(vector: Mapping[str, Any]) -> Floats:
    """Spark's vector as an array; type 0 is sparse, 1 is dense."""
    values = np.array(vector["values"], dtype=np.float64)
    if vector["type"] == 1:
        return values
    out = np.zeros(vector["size"])
    out[np.array(vector["indices"], dtype=np.int64)] = values
    return out


def _dense_row(matrix: Mapping[str, Any]) -> Floats:
    """Spark's matrix of one row as an array of shape (columns,)."""
    values = np.array(matrix["values"], dtype=np.float64)
    if matrix["type"] == 1:
        return values
    # Compressed by columns, or by rows where transposed; with one row, the row's
    # indices are its columns and a column holds one value or none.
    if matrix["isTransposed"]:
        places = np.array(matrix["rowIndices"], dtype=np.int64)
    else:
        places = np.flatnonzero(np.diff(matrix["colPtrs"]))
    out = np.zeros(matrix["numCols"])
    out[places] = values
    return out


_READERS: Mapping[str, Callable[[Path], SavedClassifier]] = {
    "LogisticRegressionModel": _read_linear,
    "RandomForestClassificationModel": _read_forest,
    "GBTClassificationModel": _read_boosted,
    "SparkXGBClassifierModel": read_xgboost,
}
