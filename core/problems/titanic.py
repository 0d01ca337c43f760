"""Titanic: did a passenger survive?

The 891 labelled rows of the Kaggle training set train the model; the 418 rows
of the test set are what arrives later.
"""

from __future__ import annotations

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
)


def _family_size(columns: Columns) -> npt.NDArray[np.float64]:
    siblings = columns["SibSp"].astype(np.float64)
    parents = columns["Parch"].astype(np.float64)
    return siblings + parents + 1.0


def _fare_per_person(columns: Columns) -> npt.NDArray[np.float64]:
    return columns["Fare"].astype(np.float64) / _family_size(columns)


PROBLEM = Problem(
    name="titanic",
    title="Titanic survival",
    contract=Contract(
        fields=(
            Field(
                "Pclass",
                FieldType.INTEGER,
                "Ticket class, 1 is the best",
                example=3,
                minimum=1,
                maximum=3,
            ),
            Field(
                "Sex",
                FieldType.CATEGORY,
                "Sex as recorded on the passenger list",
                example="male",
                categories=("male", "female"),
            ),
            Field(
                "Age",
                FieldType.NUMBER,
                "Age",
                example=22.0,
                unit="years",
                nullable=True,
                minimum=0,
                maximum=130,
                usual=(0, 80),
            ),
            Field(
                "SibSp",
                FieldType.INTEGER,
                "Siblings and spouses aboard",
                example=1,
                minimum=0,
                maximum=50,
                usual=(0, 8),
            ),
            Field(
                "Parch",
                FieldType.INTEGER,
                "Parents and children aboard",
                example=0,
                minimum=0,
                maximum=50,
                usual=(0, 9),
            ),
            Field(
                "Fare",
                FieldType.NUMBER,
                "Ticket price",
                example=7.25,
                unit="pounds of 1912",
                nullable=True,
                minimum=0,
                maximum=100_000,
                usual=(0, 520),
            ),
            Field(
                "Embarked",
                FieldType.CATEGORY,
                "Port of embarkation: Cherbourg, Queenstown, Southampton",
                example="S",
                nullable=True,
                categories=("C", "Q", "S"),
            ),
        ),
        label=Label("Survived", 1, 0, positive_meaning="survived", negative_meaning="died"),
        # Names and cabins are of no use before something is derived from them, and a
        # raw name is never stored.
        identifiers=("PassengerId", "Name", "Ticket", "Cabin", "home.dest"),
        leaky=("boat", "body"),
    ),
    source=DatasetSource("nannyml", "titanic"),
    derived=(
        DerivedFeature("FamilySize", FieldType.NUMBER, _family_size),
        DerivedFeature("FarePerPerson", FieldType.NUMBER, _fare_per_person),
    ),
    search_space={
        "lr": {
            "regParam": (0.0, 0.001, 0.01, 0.1),
            "elasticNetParam": (0.0, 0.5, 1.0),
        },
        "rf": {
            "numTrees": (50, 100),
            "maxDepth": (5, 8, 12),
            "minInstancesPerNode": (1, 3),
        },
        "gbt": {
            "maxIter": (15, 30),
            "maxDepth": (3, 5),
            "stepSize": (0.05, 0.1),
        },
        "xgb": {
            "n_estimators": (50, 100),
            "max_depth": (3, 5),
            "learning_rate": (0.05, 0.1),
        },
    },
)
