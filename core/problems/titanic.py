"""Titanic: did a passenger survive?

The 891 labelled rows of the Kaggle training set train the model; the 418 rows
of the test set are what arrives later.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from core.problems.contract import (
    Arrivals,
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

#: Word of a name -> title; every other title of the passenger list is rare.
TITLES = {
    "mr": "Mr",
    "mrs": "Mrs",
    "mme": "Mrs",
    "miss": "Miss",
    "ms": "Miss",
    "mlle": "Miss",
    "master": "Master",
    **dict.fromkeys(("dr", "rev", "col", "major", "capt"), "Other"),
    **dict.fromkeys(("sir", "lady", "don", "dona", "countess", "jonkheer"), "Other"),
}
_FIRST_WORD = re.compile(r"\s*(?:the\s+)?([^\W\d_]+)", re.IGNORECASE)
_DECK = re.compile(r"\s*([A-GT])(?![^\W\d_])", re.IGNORECASE)
#: No passenger of the training part who is called Master is older than 12.
BOY_BELOW_YEARS = 13.0
_KINDS = {"Master": "boy", "Mr": "man", "Miss": "woman", "Mrs": "woman"}


def title_of(name: str) -> str | None:
    """The title in "Surname, Title. Given names" or "Title. Given names Surname"."""
    surname_first = name.partition(",")[2]
    for text in (surname_first, name):
        word = _FIRST_WORD.match(text)
        if word and word[1].lower() in TITLES:
            return TITLES[word[1].lower()]
    return None


def deck_of(cabin: str) -> str | None:
    """The deck's letter, with which a cabin's number begins; the first one's of several."""
    letter = _DECK.match(cabin)
    return letter[1].upper() if letter else None


def _family_size(columns: Columns) -> npt.NDArray[np.float64]:
    siblings = columns["SibSp"].astype(np.float64)
    parents = columns["Parch"].astype(np.float64)
    return siblings + parents + 1.0


def _fare_per_person(columns: Columns) -> npt.NDArray[np.float64]:
    return columns["Fare"].astype(np.float64) / _family_size(columns)


def _person_kind(columns: Columns) -> npt.NDArray[np.generic]:
    rows = zip(columns["Title"], columns["Sex"], columns["Age"].tolist(), strict=True)
    return np.array([_kind_of(*row) for row in rows], dtype=object)


def _kind_of(title: object, sex: object, age_years: float) -> str | None:
    """Man, woman or boy, by the title; without a telling one, by sex and age."""
    if title in _KINDS:
        return _KINDS[str(title)]
    if sex == "male":
        return "boy" if age_years < BOY_BELOW_YEARS else "man"  # an age that is missing is NaN
    return "woman" if sex == "female" else None


def _cabin_deck(columns: Columns) -> npt.NDArray[np.generic]:
    """The deck; ``none`` where no cabin is known, which is most passengers."""
    return np.array([deck or "none" for deck in columns["Deck"]], dtype=object)


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
            Field(
                "Title",
                FieldType.CATEGORY,
                "Title in the passenger's name; Other stands for Dr, Rev, Col and the like",
                example="Mr",
                nullable=True,
                categories=("Mr", "Mrs", "Miss", "Master", "Other"),
                feature=False,
            ),
            Field(
                "Deck",
                FieldType.CATEGORY,
                "Deck of the cabin: A to G from the top, T is the boat deck",
                example="F",
                nullable=True,
                categories=("A", "B", "C", "D", "E", "F", "G", "T"),
                feature=False,
            ),
        ),
        label=Label("Survived", 1, 0, positive_meaning="survived", negative_meaning="died"),
        identifiers=("PassengerId", "Ticket", "home.dest"),
        leaky=("boat", "body"),
        reduced=(
            ReducedInput(
                "Name", "Name with its title", "Braund, Mr. Owen Harris", "Title", title_of
            ),
            ReducedInput("Cabin", "Number of the cabin", "F G73", "Deck", deck_of),
        ),
    ),
    source=DatasetSource("nannyml", "titanic"),
    derived=(
        DerivedFeature("FamilySize", FieldType.NUMBER, _family_size),
        DerivedFeature("FarePerPerson", FieldType.NUMBER, _fare_per_person),
        DerivedFeature("PersonKind", FieldType.CATEGORY, _person_kind),
        DerivedFeature("CabinDeck", FieldType.CATEGORY, _cabin_deck),
    ),
    # The fares of the test set, and what a doubling of all prices would look like.
    arrivals=Arrivals(DatasetSource("nannyml", "titanic"), replayed=True, inflation={"Fare": 2.0}),
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
