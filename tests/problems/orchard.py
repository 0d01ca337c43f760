"""Orchard: is an apple ripe? A problem that exists in the tests alone.

Everything is unlike Titanic: names with dots, spaces and quotes, a label of words, a
category of many values, a category derived from a number. Its CSV lies beside this
file, wherever the file is; ``write_orchard`` makes it.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.problems.contract import (
    Columns,
    Contract,
    DatasetSource,
    DerivedFeature,
    Field,
    FieldType,
    Label,
    Problem,
    ReducedInput,
)

SOURCE = Path(__file__).with_name("orchard.csv")
CULTIVARS = ("Cox's Orange", "Ärlig ☃", *(f"cultivar {number}" for number in range(40)))

ROOTSTOCKS = ("M9", "M26", "MM106")


def rootstock_of(tag: str) -> str | None:
    """The rootstock that is named on a tree's tag, wherever on it."""
    found = re.search(r"\bMM?\d+\b", tag)
    return found[0] if found else None


def _density(columns: Columns) -> npt.NDArray[np.float64]:
    diameter_cm = columns["diameter"].astype(np.float64) / 10.0
    return columns["weight"].astype(np.float64) / (np.pi / 6.0 * diameter_cm**3)


def _sweetness(columns: Columns) -> npt.NDArray[np.generic]:
    sugar = columns["sugar.brix"].astype(np.float64)
    names = np.array(["sour", "fair", "sweet"], dtype=object)
    band = np.searchsorted([10.0, 13.0], np.nan_to_num(sugar))
    out = names[band]
    out[np.isnan(sugar)] = None
    return out


PROBLEM = Problem(
    name="orchard",
    title="Apple ripeness",
    contract=Contract(
        fields=(
            Field("weight", FieldType.NUMBER, "Weight", 150.0, "g", minimum=1, usual=(60, 320)),
            Field(
                "soil type",
                FieldType.CATEGORY,
                "Soil under the tree",
                "loam",
                nullable=True,
                categories=("loam", "clay", "o'sand"),
            ),
            Field(
                "sugar.brix",
                FieldType.NUMBER,
                "Sugar content",
                12.5,
                "°Bx",
                nullable=True,
                minimum=0,
                maximum=40,
                usual=(6, 20),
            ),
            Field(
                "days",
                FieldType.INTEGER,
                "Days since full bloom",
                140,
                "days",
                minimum=0,
                maximum=365,
                usual=(90, 190),
            ),
            Field("cultivar", FieldType.CATEGORY, "Cultivar", "cultivar 3", categories=CULTIVARS),
            Field(
                "root.stock",
                FieldType.CATEGORY,
                "Rootstock",
                "M9",
                nullable=True,
                categories=ROOTSTOCKS,
            ),
            Field("diameter", FieldType.NUMBER, "Diameter", 70.0, "mm", minimum=5, maximum=300),
        ),
        label=Label(
            "state",
            "ripe",
            "unripe",
            positive_meaning="ready to be picked",
            negative_meaning="needs more time",
        ),
        identifiers=("tree no.",),
        leaky=("picked on",),
        reduced=(
            ReducedInput(
                "tree's tag", "What the tag says", "M9 for Ann, 2011", "root.stock", rootstock_of
            ),
        ),
    ),
    source=DatasetSource("file", str(SOURCE)),
    derived=(
        DerivedFeature("density", FieldType.NUMBER, _density),
        DerivedFeature("sweetness", FieldType.CATEGORY, _sweetness),
    ),
    search_space={
        "lr": {"regParam": (0.0, 0.01), "elasticNetParam": (0.0, 0.5)},
        "rf": {"numTrees": (10, 20), "maxDepth": (4, 6)},
        "gbt": {"maxIter": (5, 10), "maxDepth": (2, 3)},
    },
)


def write_orchard(path: Path = SOURCE, rows: int = 600, seed: int = 3) -> Path:
    """Writes generated, labelled apples as CSV; the same seed gives the same file."""
    rng = np.random.default_rng(seed)
    days = rng.integers(80, 200, rows)
    cultivar = rng.integers(0, len(CULTIVARS), rows)
    soil = rng.choice(["loam", "clay", "o'sand"], rows, p=[0.3, 0.2, 0.5])
    brix = np.round(rng.normal(6.0 + days / 25.0, 1.5), 1)
    diameter = np.round(rng.normal(70.0, 8.0, rows), 1)
    weight = np.round(0.45 * diameter**3 / 1000.0 + rng.normal(0.0, 6.0, rows), 2)
    logit = (days - 140) / 15.0 + (brix - 11.5) + np.sin(2.4 * cultivar) * 1.5 + (soil == "clay")
    ripe = rng.random(rows) < 1.0 / (1.0 + np.exp(-logit))
    soil_missing = rng.random(rows) < 0.1
    brix_missing = rng.random(rows) < 0.15
    rootstock = rng.choice([*ROOTSTOCKS, "no", "M7"], rows, p=[0.5, 0.2, 0.2, 0.05, 0.05])
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        names = [name for name in PROBLEM.contract.names if name != "root.stock"]
        out.writerow(["tree no.", *names, "tree's tag", "picked on", "state"])
        for i in range(rows):
            out.writerow(
                [
                    i,
                    weight[i],
                    "" if soil_missing[i] else soil[i],
                    "" if brix_missing[i] else brix[i],
                    days[i],
                    CULTIVARS[cultivar[i]],
                    diameter[i],
                    f"{rootstock[i]} for grower {i}",
                    f"day {days[i] + 3}" if ripe[i] else "",
                    "ripe" if ripe[i] else "unripe",
                ]
            )
    return path
