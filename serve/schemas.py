"""The shapes of answers, and typed decoders of requests built from a contract."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from core.problems.contract import MAX_TEXT, Contract, Field, FieldType

#: Whole numbers up to here are exact as float64, which is what a model computes with.
EXACT_INTEGER = 2**53
_TEXT: Any = Annotated[str, Meta(max_length=MAX_TEXT)]
#: A view of the bytes: nothing is built for what nobody reads.
_UNREAD = msgspec.Raw | msgspec.UnsetType


class Prediction(msgspec.Struct):
    """One prediction; ``probability`` is that of the positive class."""

    label: int | str
    probability: float


class PredictAnswer(msgspec.Struct):
    """Answer to one prediction request, in the order of its records."""

    request_id: str
    model_version: int
    predictions: list[Prediction]


class Detail(msgspec.Struct):
    """One broken rule, such as ``records[3].weight``: ``must be at most 130``."""

    field: str
    problem: str


class ErrorBody(msgspec.Struct):
    """What went wrong."""

    code: str
    message: str
    details: list[Detail]


class ErrorAnswer(msgspec.Struct):
    """The one shape of every error."""

    error: ErrorBody


class NumberError(ValueError):
    """An integer field was given a fraction, or a number is not finite."""


class RecordDecoder:
    """Turns the records of a prediction request of one problem into columns.

    Decoders cannot be pickled, so one is built inside each replica. It stops at
    the first offence; ``serve.validation`` then names them all.
    """

    def __init__(self, contract: Contract, max_records: int) -> None:
        self._contract = contract
        self._names = tuple(field.name for field in contract.fields)
        attributes = {f"f{index}": field for index, field in enumerate(contract.fields)}
        numeric = {name: field for name, field in attributes.items() if field.type.is_numeric}
        self._numeric = tuple(field.name for field in numeric.values())
        self._numbers = attrgetter(*numeric) if numeric else None
        self._whole = [
            place for place, field in enumerate(numeric.values()) if field.type is FieldType.INTEGER
        ]
        self._categories = [
            (field, attrgetter(name)) for name, field in attributes.items() if name not in numeric
        ]
        self._texts = {
            source.into: (source, attrgetter(f"r{index}"))
            for index, source in enumerate(contract.reduced)
        }
        self._decoder = msgspec.json.Decoder(_request_type(contract, max_records, _UNREAD))
        self._given = _request_type(contract, max_records, Any)

    def columns(self, body: bytes) -> dict[str, npt.NDArray[np.generic]]:
        """Returns one array of shape (rows,) a contract column, as ``Columns`` says.

        ``body`` is that of ``POST /predict/{problem}``.

        Raises:
            msgspec.MsgspecError, UnicodeDecodeError, RecursionError, NumberError: the
                body breaks a rule.
        """
        return self._columns_of(self._decoder.decode(body).records)

    def columns_of(self, records: Sequence[object]) -> dict[str, npt.NDArray[np.generic]]:
        """The same of records that another protocol's request has come to.

        A record is a dict; ``None`` stands for a missing value, NaN for nothing.

        Raises:
            msgspec.MsgspecError, NumberError: they break a rule.
        """
        columns = self._columns_of(msgspec.convert({"records": records}, self._given).records)
        # JSON has no infinity; other forms have.
        for field in self._contract.fields:
            if field.type.is_numeric and np.isinf(columns[field.name].astype(np.float64)).any():
                raise NumberError(field.name)
        return columns

    def _columns_of(self, records: list[Any]) -> dict[str, npt.NDArray[np.generic]]:
        columns: dict[str, npt.NDArray[np.generic]] = {}
        if self._numbers is not None:
            # All numbers in one go, since a call of NumPy costs more than a single record.
            given = np.array([self._numbers(record) for record in records], np.float64, order="F")
            numbers = given.reshape(len(records), -1)  # None has become NaN
            fractions = np.mod(numbers[:, self._whole], 1.0) > 0.0
            if fractions.any():
                first = self._whole[int(fractions.any(axis=0).argmax())]
                raise NumberError(self._numeric[first])
            columns.update(zip(self._numeric, numbers.T, strict=True))
        for field, category in self._categories:
            values = [category(record) for record in records]
            if field.name in self._texts:
                source, text = self._texts[field.name]
                texts = [text(record) for record in records]
                values = self._contract.fill_reduced(source, values, texts)
            columns[field.name] = np.array(field.spell(values), dtype=object)
        return {name: columns[name] for name in self._names}


def _request_type(contract: Contract, max_records: int, ignored: Any) -> Any:
    """The type of a request whose ignored columns are of the type ``ignored``."""
    fields = {f"f{index}": field for index, field in enumerate(contract.fields)}
    texts = {f"r{index}": source for index, source in enumerate(contract.reduced)}
    unread = {f"i{index}": name for index, name in enumerate(contract.ignored)}
    # Column names such as ``sugar.brix`` are no identifiers of Python, hence the renaming.
    record: Any = msgspec.defstruct(
        "Record",
        [_definition(attribute, field) for attribute, field in fields.items()]
        + [(attribute, _TEXT | None, None) for attribute in texts]
        + [(name, ignored, msgspec.UNSET) for name in unread],
        rename={a: named.name for a, named in (fields | texts).items()} | unread,
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )
    records = Annotated[list[record], Meta(min_length=1, max_length=max_records)]
    return msgspec.defstruct("Request", [("records", records)], forbid_unknown_fields=True)


def integer_bounds(field: Field) -> tuple[int, int]:
    """Smallest and largest whole number a field takes."""
    low = -EXACT_INTEGER if field.minimum is None else math.ceil(field.minimum)
    high = EXACT_INTEGER if field.maximum is None else math.floor(field.maximum)
    return max(low, -EXACT_INTEGER), min(high, EXACT_INTEGER)


def _definition(attribute: str, field: Field) -> tuple[Any, ...]:
    kind = _type_of(field)
    return (attribute, kind | None, None) if field.nullable else (attribute, kind)


def _type_of(field: Field) -> Any:
    if field.type is FieldType.CATEGORY:
        return _TEXT
    if field.type is FieldType.NUMBER:
        return Annotated[float, Meta(ge=field.minimum, le=field.maximum)]
    low, high = integer_bounds(field)
    # Data frames with missing values write whole numbers as 3.0, and JSON Schema
    # counts 3.0 as an integer: a fraction is refused after decoding.
    whole = Annotated[int, Meta(ge=low, le=high)]
    return whole | Annotated[float, Meta(ge=float(low), le=float(high))]
