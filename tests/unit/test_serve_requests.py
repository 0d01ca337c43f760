"""Requests against the contract: what is let in, and what is said of the rest."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.problems.contract import Contract, Field, FieldType, Label
from serve.schemas import NumberError, RecordDecoder
from serve.validation import MAX_DETAILS, explain
from tests.serving_support import RECORD, TITANIC

REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, NumberError)
DECODER = RecordDecoder(TITANIC.contract, max_records=1000)


def body_of(*records: object) -> bytes:
    return json.dumps({"records": records}).encode()


def offences_of(body: bytes) -> dict[str, str]:
    """Place -> problem, once the decoder has refused the body as well."""
    with pytest.raises(REFUSALS):
        DECODER.columns(body)
    error = explain(body, TITANIC.contract, 1000, "refused")
    return {
        offence.field if offence.row is None else f"{offence.row}:{offence.field}": offence.problem
        for offence in error.offences
    }


def test_columns_are_floats_and_objects_of_the_contract() -> None:
    columns = DECODER.columns(body_of(RECORD, {**RECORD, "Age": None, "Embarked": None}))
    assert list(columns) == list(TITANIC.contract.names)
    assert columns["Age"].dtype == np.float64
    assert columns["Age"][0] == 22.0
    assert np.isnan(columns["Age"][1])
    assert columns["Embarked"].tolist() == ["S", None]
    assert columns["Pclass"].tolist() == [3.0, 3.0]


def test_an_absent_nullable_field_is_missing() -> None:
    record = {k: v for k, v in RECORD.items() if k not in ("Age", "Embarked")}
    columns = DECODER.columns(body_of(record))
    assert np.isnan(columns["Age"][0])
    assert columns["Embarked"][0] is None


def test_identifiers_and_leaky_columns_are_ignored_whatever_they_hold() -> None:
    record = {**RECORD, "home.dest": {"a": [1]}, "PassengerId": None, "boat": "5"}
    assert list(DECODER.columns(body_of(record))) == list(TITANIC.contract.names)


def test_a_text_is_reduced_and_gone() -> None:
    named = {**RECORD, "Name": "Braund, Mr. Owen Harris", "Cabin": "F G73"}
    columns = DECODER.columns(body_of(named, {**named, "Title": "Master"}, RECORD))
    assert list(columns) == list(TITANIC.contract.names)
    assert columns["Title"].tolist() == ["Mr", "Master", None]
    assert columns["Deck"].tolist() == ["F", "F", None]


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    secret = "Quetzalcoatl, Mr. Xerxes"
    bodies = [
        body_of({**RECORD, "Name": secret, "Age": -1}),
        body_of({**RECORD, "Name": [secret], "Cabin": {secret: 1}}),
        body_of({**RECORD, "Name": secret + "\ud800"}),
        body_of({**RECORD, "Name": secret})[:-3],
        body_of({**RECORD, "Name": secret}).replace(b'"Age"', b'"Name": "y", "Age": "x", "Age"'),
    ]
    for body in bodies:
        with pytest.raises(REFUSALS) as refused:
            DECODER.columns(body)
        error = explain(body, TITANIC.contract, 1000, str(refused.value))
        assert "Xerxes" not in f"{refused.value} {error} {error.fix} {error.offences}"


def test_unseen_categories_and_whole_floats_pass() -> None:
    columns = DECODER.columns(body_of({**RECORD, "Sex": "unknown", "SibSp": 2.0}))
    assert columns["Sex"].tolist() == ["unknown"]
    assert columns["SibSp"].tolist() == [2.0]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("Pclass", 4, "must be at most 3"),
        ("Pclass", 0, "must be at least 1"),
        ("Pclass", 1.5, "must be a whole number"),
        ("Pclass", "3", "must be a number, not text"),
        ("Pclass", True, "must be a number, not a boolean"),
        ("Pclass", None, "must not be null"),
        ("Pclass", 10**400, "must be finite"),
        ("SibSp", 10**30, "must be at most 50"),
        ("Age", -1, "must be at least 0"),
        ("Age", [1], "must be a number, not a list"),
        ("Fare", 100_000.5, "must be at most 100000"),
        ("Age", float("nan"), "must be finite; null stands for a missing value"),
        ("Fare", float("inf"), "must be finite; null stands for a missing value"),
        ("Sex", 1, "must be text, not a number"),
        ("Sex", None, "must not be null"),
        ("Sex", {}, "must be text, not an object"),
        ("Sex", "\ud800", "must be valid Unicode"),
        ("Name", 5, "must be text, not a number"),
        ("Cabin", ["C85"], "must be text, not a list"),
        ("Name", "\ud800", "must be valid Unicode"),
        ("Survived", 1, "unknown field"),
        ("age", 1, "unknown field"),
    ],
)
def test_one_broken_rule_is_named(field: str, value: object, problem: str) -> None:
    assert offences_of(body_of(RECORD, {**RECORD, field: value})) == {f"1:{field}": problem}


def test_every_offending_field_of_every_record_is_named() -> None:
    record = {"Pclass": 9, "Sex": 5, "SibSp": 0, "Parch": -1, "Colour": "red"}
    assert offences_of(body_of(record, RECORD, 7, {**RECORD, "Age": "old"})) == {
        "0:Pclass": "must be at most 3",
        "0:Sex": "must be text, not a number",
        "0:Parch": "must be at least 0",
        "0:Colour": "unknown field",
        "2:": "must be an object, not a number",
        "3:Age": "must be a number, not text",
    }


def test_missing_required_fields_are_named() -> None:
    assert set(offences_of(body_of({}))) == {"0:Pclass", "0:Sex", "0:SibSp", "0:Parch"}


def test_details_are_capped_and_the_rest_is_counted() -> None:
    error = explain(body_of(*[{}] * 50), TITANIC.contract, 1000, "refused")
    assert len(error.offences) == MAX_DETAILS
    assert error.message == "The request breaks 200 rules; the first 100 are named."


@pytest.mark.parametrize(
    ("body", "place", "problem"),
    [
        (b"", "body", "is not valid JSON: Expecting value at line 1, column 1"),
        (b'{"records": [', "body", "is not valid JSON: Expecting value at line 1, column 14"),
        (b"\xff\xfe{}", "body", "must be text in UTF-8"),
        ('{"records": []}'.encode("utf-16"), "body", "must be text in UTF-8"),
        (b"[]", "body", 'must be an object with "records", not a list'),
        (b"null", "body", 'must be an object with "records", not null'),
        (b"{}", "records", "is required"),
        (b'{"records": {}}', "records", "must be a list of objects, not an object"),
        (b'{"records": []}', "records", "must hold at least one record"),
        (body_of(*[RECORD] * 1001), "records", "holds 1,001 records; at most 1,000 fit"),
        (b'{"records": [{"Ticket": ' + b"[" * 100_000, "body", "is nested too deeply"),
        (b'{"instances": 1, "records": [%s]}' % json.dumps(RECORD).encode(), "instances", ""),
    ],
)
def test_a_body_that_is_no_request(body: bytes, place: str, problem: str) -> None:
    found = offences_of(body)
    assert list(found) == [place]
    assert found[place] == (problem or "unknown field")


def test_a_key_given_twice_is_refused_in_the_decoders_words() -> None:
    text = json.dumps(RECORD).replace('"Age": 22.0', '"Age": "x", "Age": 22.0')
    body = f'{{"records": [{text}]}}'.encode()
    assert offences_of(body) == {"body": "refused"}


def test_integers_without_bounds_stay_exact() -> None:
    field = Field("n", FieldType.INTEGER, "A number", example=1)
    contract = Contract(fields=(field,), label=Label("y", "yes", "no", "yes", "no"))
    decoder = RecordDecoder(contract, 10)
    assert decoder.columns(body_of({"n": -(2**53)}))["n"].tolist() == [-(2.0**53)]
    with pytest.raises(msgspec.ValidationError):
        decoder.columns(body_of({"n": 2**53 + 1}))
    error = explain(body_of({"n": 2**53 + 1}), contract, 10, "refused")
    assert error.offences[0].problem == "must be at most 9007199254740992"


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from([1, 2, 3, 0.5, "male", "S", 1e300, -0.0]),
    st.lists(st.integers(), max_size=2),
)
_RECORDS = st.dictionaries(
    st.sampled_from([*RECORD, "Ticket", "boat", "other", "Name", "Deck"]), _VALUES
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_RECORDS.map(lambda changes: {**RECORD, **changes}), max_size=4))
def test_the_decoder_and_the_explanation_agree(records: list[dict[str, Any]]) -> None:
    body = body_of(*records)
    error = explain(body, TITANIC.contract, 1000, "refused")
    told = [(offence.field, offence.problem) for offence in error.offences]
    try:
        DECODER.columns(body)
    except REFUSALS:
        # NaN inside an ignored column is the one thing that only the decoder sees.
        assert told != [("body", "refused")] or b"NaN" in body or b"Infinity" in body
    else:
        assert told == [("body", "refused")]
