"""Names every broken rule of a request that the typed decoder refused.

Runs on failure only, so it may be slow and thorough. It reads JSON with the
standard library, which lets NaN and Infinity through: that is how a client that
wrote them can be told where.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator

from core.errors import InvalidInputError, Offence
from core.problems.contract import MAX_TEXT, Contract, Field, FieldType
from serve.schemas import integer_bounds

#: Offences that are named; the rest is counted.
MAX_DETAILS = 100
#: The place of what is wrong with a body as a whole.
BODY = "body"
_NAME_LENGTH = 80
_SAID_LENGTH = 300
#: Bodies beyond this, more than most records of a request fill, are not explained: as objects
#: of Python they take some thirty times their size, and nothing else is answered meanwhile.
EXPLAINED_BYTES = 2 << 20


def explain(body: bytes, contract: Contract, max_records: int, said: str) -> InvalidInputError:
    """Returns the error that names what is wrong with a refused body.

    Args:
        body: the request's body.
        contract: the rules.
        max_records: most records in one request.
        said: what the decoder said; told when no rule here is broken, such as for
            a key that is given twice.
    """
    try:
        document = read_json(body, said)
    except InvalidInputError as exc:
        return exc
    return refusal(_offences(document, contract, max_records), said)


def explain_records(
    records: object, contract: Contract, max_records: int, said: str
) -> InvalidInputError:
    """The same for records that another protocol's request has come to."""
    return refusal(_offences({"records": records}, contract, max_records), said)


def read_json(body: bytes, said: str) -> object:
    """Reads a body that a decoder refused, as far as it can be read.

    Args:
        body: the body.
        said: what the decoder said, which is all that is told of a body beyond
            ``EXPLAINED_BYTES``.

    Raises:
        InvalidInputError: it is not JSON in UTF-8, or too large to be looked at.
    """
    if len(body) > EXPLAINED_BYTES:
        raise _error([Offence(BODY, shown(said, _SAID_LENGTH))], 1)
    try:
        return json.loads(body.decode("utf-8"), parse_int=_parse_int)
    except UnicodeDecodeError:
        problem = "must be text in UTF-8"
    except json.JSONDecodeError as exc:
        problem = f"is not valid JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}"
    except RecursionError:
        problem = "is nested too deeply"
    raise _error([Offence(BODY, problem)], 1)


def refusal(offences: Iterator[Offence], said: str) -> InvalidInputError:
    """The error of some broken rules; of none, what the decoder ``said``."""
    named = list(itertools.islice(offences, MAX_DETAILS))
    total = len(named) + sum(1 for _ in offences)
    if not named:
        return _error([Offence(BODY, shown(said, _SAID_LENGTH))], 1)
    return _error(named, total)


def _error(named: list[Offence], total: int) -> InvalidInputError:
    rules = "1 rule" if total == 1 else f"{total:,} rules"
    more = f"; the first {len(named)} are named" if total > len(named) else ""
    return InvalidInputError(f"The request breaks {rules}{more}.", offences=named)


def _parse_int(text: str) -> int | float:
    try:
        value = int(text)
        float(value)
    except (ValueError, OverflowError):  # Python reads no more than 4,300 digits
        return math.inf
    return value


def _offences(document: object, contract: Contract, max_records: int) -> Iterator[Offence]:
    if not isinstance(document, dict):
        yield Offence(BODY, f'must be an object with "records", not {kind_of(document)}')
        return
    for name in document:
        if name != "records":
            yield Offence(shown(name), "unknown field")
    records = document.get("records")
    if "records" not in document:
        yield Offence("records", "is required")
    elif not isinstance(records, list):
        yield Offence("records", f"must be a list of objects, not {kind_of(records)}")
    elif not records:
        yield Offence("records", "must hold at least one record")
    elif len(records) > max_records:
        yield Offence("records", f"holds {len(records):,} records; at most {max_records:,} fit")
    else:
        fields = {field.name: field for field in contract.fields}
        for source in contract.reduced:
            fields[source.name] = Field(
                source.name, FieldType.CATEGORY, source.description, source.example, nullable=True
            )
        ignored = set(contract.ignored)
        for row, record in enumerate(records):
            yield from _record_offences(row, record, fields, ignored)


def _record_offences(
    row: int, record: object, fields: dict[str, Field], ignored: set[str]
) -> Iterator[Offence]:
    if not isinstance(record, dict):
        yield Offence("", f"must be an object, not {kind_of(record)}", row)
        return
    for name, field in fields.items():
        if name in record:
            problem = _value_problem(field, record[name])
            if problem:
                yield Offence(name, problem, row)
        elif not field.nullable:
            yield Offence(name, "is required", row)
    for name in record:
        if name not in fields and name not in ignored:
            yield Offence(shown(name), "unknown field", row)


def _value_problem(field: Field, value: object) -> str:
    if value is None:
        return "" if field.nullable else "must not be null"
    if field.type is FieldType.CATEGORY:
        if not isinstance(value, str):
            return f"must be text, not {kind_of(value)}"
        if len(value) > MAX_TEXT:
            return f"must have at most {MAX_TEXT:,} characters"
        return "" if shown(value, None) == value else "must be valid Unicode"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"must be a number, not {kind_of(value)}"
    if not _is_finite(value):
        return "must be finite" + ("; null stands for a missing value" if field.nullable else "")
    return _number_problem(field, value)


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # no float holds so large a whole number
        return False


def _number_problem(field: Field, value: int | float) -> str:
    low, high = field.minimum, field.maximum
    if field.type is FieldType.INTEGER:
        if isinstance(value, float) and not value.is_integer():
            return "must be a whole number"
        low, high = integer_bounds(field)
    if low is not None and value < low:
        return f"must be at least {low:.16g}"
    if high is not None and value > high:
        return f"must be at most {high:.16g}"
    return ""


def shown(text: str, length: int | None = _NAME_LENGTH) -> str:
    """A text of the caller's as it may be sent back: short, and with no lone surrogate."""
    return text[:length].encode("utf-8", "replace").decode("utf-8")


def kind_of(value: object) -> str:
    """What JSON calls a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    kinds: dict[type, str] = {dict: "an object", list: "a list", str: "text"}
    return kinds.get(type(value), "a number")
