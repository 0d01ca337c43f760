"""Late labels by HTTP: a typed decoder built from a contract, and what is wrong otherwise."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa
from msgspec import Meta

from core.data.labels import GIVEN_SCHEMA
from core.errors import InvalidInputError, Offence
from core.problems.contract import Contract
from serve.validation import BODY, kind_of, read_json, refusal, shown

#: What ``uuid4().hex`` looks like, of which the server makes its request ids.
REQUEST_ID = "^[0-9a-f]{32}$"
#: Python's ``$`` lets one more line end through.
_ID_LENGTH = 32


class LabelsTaken(msgspec.Struct):
    """Answer to labels; ``taken`` are on disk. Which rows they belong to shows when joined."""

    taken: int


@dataclass(frozen=True)
class _WholeNumbers(Container[object]):
    """Whole numbers from 0 up to, and without, ``end``. A ``range`` walks itself for a float."""

    end: int

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and 0 <= value < self.end and value == int(value)


@dataclass(frozen=True)
class _Rule:
    type: Any
    #: What is said of a value that is not of the type, or not one of the values.
    said: str
    #: Data frames write whole numbers as ``3.0``, and JSON Schema counts that as an integer, so
    #: the type lets every float in.
    values: Container[object] | None = None

    def holds(self, value: object) -> bool:
        """Whether a value of the type obeys the rule."""
        return self.values is None or value in self.values


class LabelDecoder:
    """Decodes the body of ``POST /labels/{problem}`` of one problem.

    Decoders cannot be pickled, so one is built inside each replica.
    """

    def __init__(self, contract: Contract, max_labels: int) -> None:
        label = contract.label
        values = " or ".join(json.dumps(value) for value in (label.negative, label.positive))
        self._rules = {
            "request_id": _Rule(
                Annotated[str, Meta(pattern=REQUEST_ID, max_length=_ID_LENGTH)],
                "must be the request_id of an answer: 32 hexadecimal digits",
            ),
            # An index beyond the largest request can belong to nothing.
            "index": _Rule(
                int | float,
                f"must be a whole number from 0 to {max_labels - 1:,}",
                _WholeNumbers(max_labels),
            ),
            "label": _Rule(
                Literal[label.negative, label.positive] | float,
                f"must be {values}",
                (label.negative, label.positive),
            ),
        }
        fields = [(name, rule.type) for name, rule in self._rules.items()]
        entry: Any = msgspec.defstruct("Label", fields, forbid_unknown_fields=True, gc=False)
        entries = Annotated[list[entry], Meta(min_length=1, max_length=max_labels)]
        request: Any = msgspec.defstruct(
            "Labels", [("labels", entries)], forbid_unknown_fields=True
        )
        self._decoder = msgspec.json.Decoder(request)
        self._positive = label.positive
        self._max_labels = max_labels

    def decode(self, body: bytes) -> pa.Table:
        """Returns the labels as ``GIVEN_SCHEMA`` says.

        Raises:
            InvalidInputError: the body breaks a rule; every wrong label is named.
        """
        try:
            labels = self._decoder.decode(body).labels
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise self._explain(body, str(exc)) from exc
        if not all(self._hold(entry) for entry in labels):
            raise self._explain(body, "a label breaks a rule")
        columns = (
            [entry.request_id for entry in labels],
            [int(entry.index) for entry in labels],
            [float(entry.label == self._positive) for entry in labels],
        )
        return pa.table(
            [
                pa.array(column, field.type)
                for column, field in zip(columns, GIVEN_SCHEMA, strict=True)
            ],
            schema=GIVEN_SCHEMA,
        )

    def _hold(self, entry: Any) -> bool:
        index, label = self._rules["index"], self._rules["label"]
        return index.holds(entry.index) and label.holds(entry.label)

    def _explain(self, body: bytes, said: str) -> InvalidInputError:
        try:
            document = read_json(body, said)
        except InvalidInputError as exc:
            return exc
        return refusal(self._offences(document), said)

    def _offences(self, document: object) -> Iterator[Offence]:
        if not isinstance(document, dict):
            yield Offence(BODY, f'must be an object with "labels", not {kind_of(document)}')
            return
        for name in document:
            if name != "labels":
                yield Offence(shown(name), "unknown field")
        labels = document.get("labels")
        if "labels" not in document:
            yield Offence("labels", "is required")
        elif not isinstance(labels, list):
            yield Offence("labels", f"must be a list of objects, not {kind_of(labels)}")
        elif not labels:
            yield Offence("labels", "must hold at least one label")
        elif len(labels) > self._max_labels:
            most = f"at most {self._max_labels:,} fit"
            yield Offence("labels", f"holds {len(labels):,} labels; {most}")
        else:
            for number, entry in enumerate(labels):
                yield from self._entry_offences(f"labels[{number}]", entry)

    def _entry_offences(self, place: str, entry: object) -> Iterator[Offence]:
        if not isinstance(entry, dict):
            yield Offence(place, f"must be an object, not {kind_of(entry)}")
            return
        for name, rule in self._rules.items():
            if name not in entry:
                yield Offence(f"{place}.{name}", "is required")
            elif not (_is(entry[name], rule.type) and rule.holds(entry[name])):
                yield Offence(f"{place}.{name}", rule.said)
        for name in entry:
            if name not in self._rules:
                yield Offence(f"{place}.{shown(name)}", "unknown field")


def _is(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeEncodeError):
        # msgspec looks for a number in a text as UTF-8, which half a character has no form in.
        return False
    return True
