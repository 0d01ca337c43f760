"""Requests and answers of MLflow's scoring protocol, as ``mlflow models serve`` has them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from core.errors import InvalidInputError, Offence
from core.problems.contract import Contract
from serve.csv_records import read_csv
from serve.http import Answer
from serve.predictor import LoadedModel, Scored
from serve.schemas import Prediction
from serve.validation import BODY, refusal, shown

CSV = "text/csv"
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_Absent = msgspec.UnsetType


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    columns: list[str]
    data: list[list[Any]]
    index: list[Any] | None = None


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    dataframe_split: _Split | _Absent = msgspec.UNSET
    dataframe_records: list[dict[str, Any]] | _Absent = msgspec.UNSET
    instances: list[dict[str, Any]] | dict[str, list[Any]] | _Absent = msgspec.UNSET
    inputs: list[dict[str, Any]] | dict[str, Any] | _Absent = msgspec.UNSET
    #: Our models have no parameters; MLflow, too, leaves unread what a model does not name.
    params: dict[str, Any] | None = None


class _Answer(msgspec.Struct):
    """MLflow's shape for predictions that are a data frame, and what late labels need."""

    predictions: list[Prediction]
    request_id: str
    model_version: int


_DECODER = msgspec.json.Decoder(_Request)


def read_records(body: bytes, kind: str, contract: Contract) -> list[Any]:
    """Reads the body of an invocation.

    Args:
        body: CSV where ``kind`` is ``CSV``, otherwise JSON in one of ``FORMS``.
        kind: the media type.
        contract: says which cells of CSV are numbers.

    Raises:
        InvalidInputError: it breaks the protocol. Whether the records obey the contract
            has not been looked at.
    """
    if kind == CSV:
        return list(read_csv(body, contract))
    request = _decode(body)
    given = [form for form in FORMS if getattr(request, form) is not msgspec.UNSET]
    if len(given) != 1:
        raise _refused(f"must be an object with exactly one of {', '.join(FORMS)}")
    data = getattr(request, given[0])
    if isinstance(data, _Split):
        return _rows(data.columns, data.data)
    return _turned(data) if isinstance(data, dict) else list(data)


def write_predictions(model: LoadedModel, scored: Scored) -> Answer:
    """The answer to an invocation."""
    answer = _Answer(scored.predictions, scored.request_id, model.ref.version)
    return Answer(msgspec.json.encode(answer))


def _decode(body: bytes) -> _Request:
    try:
        return _DECODER.decode(body)
    except msgspec.ValidationError as exc:
        raise _refused(f"is no invocation: {exc}") from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # A data frame with missing values is often written with NaN, which MLflow reads.
        strict = _without_nan(body)
    try:
        return _DECODER.decode(strict)
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise _refused(f"is no invocation: {exc}") from exc


def _without_nan(body: bytes) -> bytes:
    """The same JSON with ``null`` in place of NaN."""
    try:
        document = json.loads(body.decode(), parse_constant=_constant, parse_float=_finite)
        return msgspec.json.encode(document)
    except (UnicodeError, ValueError, OverflowError, RecursionError) as exc:
        raise _refused(f"is not valid JSON: {exc}") from exc


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"{name} is no number that can be scored")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return number


def _rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise _refused(f"names a column more than once: {shown(repeated[0])}")
    wrong = [number for number, row in enumerate(rows) if len(row) != len(names)]
    if wrong:
        raise _refused(f"has rows without {len(names)} values, the first is row {wrong[0]}")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _turned(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Columns of equal length as records; single values are one record."""
    lists = {name: value for name, value in columns.items() if isinstance(value, list)}
    if not lists:
        return [dict(columns)]
    lengths = {len(value) for value in lists.values()}
    if len(lists) < len(columns) or len(lengths) > 1:
        raise _refused("must have lists of the same length for its columns")
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _refused(problem: str) -> InvalidInputError:
    return refusal(iter([Offence(BODY, problem)]), "")
