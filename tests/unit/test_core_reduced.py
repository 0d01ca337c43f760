"""Texts of which a category is kept: what is read from them, and that nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.ingest import ingest, reduce_texts
from core.problems.contract import Contract, Problem
from core.problems.titanic import PROBLEM as TITANIC
from core.problems.titanic import TITLES, deck_of, title_of
from serve.schemas import RecordDecoder
from tests.problems.orchard import PROBLEM as ORCHARD
from tests.problems.orchard import ROOTSTOCKS

#: A name that occurs nowhere but in these tests.
PLANTED = "Quetzalcoatl, Master. Xerxes"
CABIN = "C987654"
ORCHARD_TAG = replace(ORCHARD.contract.reduced[0], into="Deck")
ROW = {"Pclass": 3, "Sex": "male", "Age": 4.0, "SibSp": 1, "Parch": 1, "Fare": 9.0}


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Braund, Mr. Owen Harris", "Mr"),
        ("Cumings, Mrs. John Bradley (Florence Briggs Thayer)", "Mrs"),
        ("Aubart, Mme. Leontine Pauline", "Mrs"),
        ("Sagesser, Mlle. Emma", "Miss"),
        ("Reynaldo, Ms. Encarnacion", "Miss"),
        ("Palsson, Master. Gosta Leonard", "Master"),
        ("Byles, Rev. Thomas Roussel Davids", "Other"),
        ("Rothes, the Countess. of (Lucy Noel Martha Dyer-Edwards)", "Other"),
        ("Master, Mr. Henry", "Mr"),
        ("Miss Laina Heikkinen", "Miss"),
        ("MR JOHN SMITH", "Mr"),
        ("Smith, John", None),
        ("Misson, Anna", None),
        ("Schmidt, Herr. Karl", None),
        (" , . ", None),
        ("", None),
    ],
)
def test_a_title_is_read_from_a_name(name: str, title: str | None) -> None:
    assert title_of(name) == title


@pytest.mark.parametrize(
    ("cabin", "deck"),
    [
        ("C85", "C"),
        (" b51 B53 B55", "B"),
        ("F G73", "F"),
        ("D", "D"),
        ("T", "T"),
        ("Cabin 12", None),
        ("H12", None),
        ("12", None),
        ("", None),
    ],
)
def test_a_deck_is_read_from_a_cabin(cabin: str, deck: str | None) -> None:
    assert deck_of(cabin) == deck


_TEXTS = st.text() | st.builds(
    "{}, {} {}".format, st.text(), st.sampled_from([*TITLES, "the Dr", "Baron"]), st.text()
)


@given(text=_TEXTS, problem=st.sampled_from([TITANIC, ORCHARD]))
def test_whatever_the_text_only_a_known_category_comes_out(text: str, problem: Problem) -> None:
    for source in problem.contract.reduced:
        (field,) = [f for f in problem.contract.fields if f.name == source.into]
        (kept,) = problem.contract.fill_reduced(source, [None], [text])
        assert kept is None or kept in field.categories


def test_a_careless_reduction_lets_no_text_through() -> None:
    careless = replace(TITANIC.contract.reduced[0], reduce=lambda text: text)
    assert TITANIC.contract.fill_reduced(careless, [None] * 2, [PLANTED, "Mr"]) == [None, "Mr"]


def test_what_is_given_goes_before_what_is_read() -> None:
    source = TITANIC.contract.reduced[0]
    given_titles = ["Mrs", None, "", None, "Sheikh"]
    texts = [PLANTED, PLANTED, PLANTED, None, PLANTED]
    kept = TITANIC.contract.fill_reduced(source, given_titles, texts)
    assert kept == ["Mrs", "Master", "Master", None, "Sheikh"]


@pytest.mark.parametrize("into", ["Sex", "Age", "Survived", "nowhere"])
def test_a_text_is_reduced_to_a_nullable_category_with_known_values(into: str) -> None:
    source = replace(TITANIC.contract.reduced[0], into=into)
    with pytest.raises(ValueError, match="needs a nullable field"):
        replace(TITANIC.contract, reduced=(source,))


def test_two_texts_cannot_fill_one_field() -> None:
    first, _ = TITANIC.contract.reduced
    with pytest.raises(ValueError, match="of its own"):
        replace(TITANIC.contract, reduced=(first, replace(first, name="Full name")))


def test_a_text_is_no_column_of_another_kind() -> None:
    source = replace(TITANIC.contract.reduced[0], name="Ticket")
    with pytest.raises(ValueError, match="declared more than once: Ticket"):
        replace(TITANIC.contract, reduced=(source,))


def test_the_fingerprint_knows_a_function_by_its_name() -> None:
    def title_of(name: str) -> str | None:  # another object under the same name
        return None

    source = TITANIC.contract.reduced[0]
    same = replace(TITANIC.contract, reduced=(replace(source, reduce=title_of), ORCHARD_TAG))
    also = replace(TITANIC.contract, reduced=(source, ORCHARD_TAG))
    assert same.fingerprint() == also.fingerprint()
    other = replace(TITANIC.contract, reduced=(replace(source, reduce=deck_of), ORCHARD_TAG))
    assert other.fingerprint() != also.fingerprint()


def test_a_table_keeps_what_the_texts_are_reduced_to() -> None:
    table = pa.table({"Name": [PLANTED, None], "Cabin": ["C1", "?"], "Deck": ["B", None]})
    assert reduce_texts(table, TITANIC.contract).to_pydict() == {
        "Title": ["Master", None],
        "Deck": ["B", None],
    }


def test_a_table_may_have_the_fields_themselves_or_nothing() -> None:
    titled = pa.table({"Title": ["Mr", "Dr"], "Deck": ["A", None]})
    assert reduce_texts(titled, TITANIC.contract).equals(titled)
    assert reduce_texts(pa.table({"Age": [1, 2]}), TITANIC.contract).to_pydict() == {
        "Age": [1, 2],
        "Title": [None, None],
        "Deck": [None, None],
    }


def decode(contract: Contract, record: dict[str, Any]) -> dict[str, Any]:
    columns = RecordDecoder(contract, 10).columns(json.dumps({"records": [record]}).encode())
    return {name: values.tolist()[0] for name, values in columns.items()}


@given(name=_TEXTS, cabin=st.none() | st.text(), title=st.none() | st.sampled_from(["Mrs", ""]))
def test_a_file_and_a_request_come_to_the_same(
    name: str, cabin: str | None, title: str | None
) -> None:
    texts = {"Name": name, "Cabin": cabin, "Title": title}
    try:
        json.dumps(texts, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return  # a lone surrogate is refused at either door
    decoded = decode(TITANIC.contract, {**ROW, **texts})
    table = pa.table({column: pa.array([text], pa.string()) for column, text in texts.items()})
    (row,) = reduce_texts(table, TITANIC.contract).to_pylist()
    assert {key: decoded[key] for key in ("Title", "Deck")} == row
    assert not {"Name", "Cabin"} & {*decoded}


def test_orchards_tag_is_read_at_both_doors() -> None:
    record = {field.name: field.example for field in ORCHARD.contract.fields if not field.nullable}
    tag = {"tree's tag": "for Zoë: MM106, 2011"}
    assert decode(ORCHARD.contract, {**record, **tag})["root.stock"] == "MM106"
    table = reduce_texts(pa.table({name: [text] for name, text in tag.items()}), ORCHARD.contract)
    assert table.to_pydict() == {"root.stock": ["MM106"]}
    assert decode(ORCHARD.contract, {**record, "tree's tag": "M27"})["root.stock"] is None
    assert decode(ORCHARD.contract, record)["root.stock"] is None
    assert set(ROOTSTOCKS) == set(ORCHARD.contract.fields[5].categories)


def test_a_planted_name_does_not_reach_what_is_stored(tmp_path: Path) -> None:
    rows = {name: [value] for name, value in {**ROW, "Embarked": "S", "Survived": 1}.items()}
    table = pa.table({**rows, "Name": [PLANTED], "Cabin": [CABIN]})
    ingest(TITANIC, {"nannyml": lambda _: table}, tmp_path / "raw.parquet")
    assert pq.read_table(tmp_path / "raw.parquet").to_pylist() == [
        {
            "row_id": 0,
            **ROW,
            "Embarked": "S",
            "Title": "Master",
            "Deck": "C",
            "Survived": 1,
        }
    ]
    stored = (tmp_path / "raw.parquet").read_bytes()
    assert not [word for word in (b"Quetzal", b"Xerxes", b"987654") if word in stored]


def kinds(**columns: list[Any]) -> list[Any]:
    given = {
        name: np.array(values, dtype=float if name == "Age" else object)
        for name, values in columns.items()
    }
    (feature,) = [d for d in TITANIC.derived if d.name == "PersonKind"]
    return feature.compute(given).tolist()


def test_a_person_is_told_by_title_and_without_one_by_sex_and_age() -> None:
    nan = float("nan")
    titles = ["Master", "Mr", "Mrs", "Miss"]
    assert kinds(Title=titles, Sex=["?"] * 4, Age=[nan] * 4) == ["boy", "man", "woman", "woman"]
    for title in (None, "", "Other", "Sheikh"):
        found = kinds(
            Title=[title] * 6,
            Sex=["male", "male", "male", "female", "female", None],
            Age=[12.9, 13.0, nan, 3.0, nan, 3.0],
        )
        assert found == ["boy", "man", "man", "woman", "woman", None]


def test_an_absent_cabin_is_a_deck_of_its_own() -> None:
    (feature,) = [d for d in TITANIC.derived if d.name == "CabinDeck"]
    decks = np.array(["B", None, "", "zz?"], dtype=object)
    assert feature.compute({"Deck": decks}).tolist() == ["B", "none", "none", "zz?"]
