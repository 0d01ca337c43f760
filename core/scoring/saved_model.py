"""A saved Spark pipeline as plain values: what the exporter reads and writes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SavedFeatures:
    """What the feature steps learned.

    ``labels`` are the known values of each categorical feature in the order of their
    indexes; ``medians`` hold one value a numeric feature; ``means`` and ``scales``
    have one a slot of the linear vector: (value - mean) * scale.
    """

    labels: tuple[tuple[str, ...], ...]
    medians: Floats
    means: Floats
    scales: Floats


@dataclass(frozen=True)
class SavedLinear:
    """Logistic regression; ``coefficients`` has one value a slot of the linear vector."""

    coefficients: Floats
    intercept: float


@dataclass(frozen=True)
class SavedNode:
    """One node of a tree, named by its place in preorder; a leaf has no ``left``.

    ``left_categories`` is empty for a split at ``threshold``, where values up to and
    including it go left. ``prediction`` is the leaf's margin and ``positive`` its share
    of positive rows.
    """

    left: int
    right: int
    feature: int
    threshold: float
    left_categories: tuple[int, ...]
    prediction: float
    positive: float

    @property
    def is_leaf(self) -> bool:
        """Whether the node ends a path."""
        return self.left < 0


@dataclass(frozen=True)
class SavedTrees:
    """A tree ensemble; ``boosted`` ones add weighted margins, others average shares.

    The probability of a boosted one is the sigmoid of ``slope`` times the sum of its
    leaves, plus ``offset``.
    """

    boosted: bool
    trees: tuple[tuple[SavedNode, ...], ...]
    weights: tuple[float, ...]
    slope: float = 1.0
    offset: float = 0.0


SavedClassifier = SavedLinear | SavedTrees
