"""Records from CSV as ``pandas.DataFrame.to_csv`` writes it; nothing of pandas is used."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence

from core.errors import InvalidInputError, Offence
from core.problems.contract import Contract
from serve.validation import BODY, refusal, shown

#: What stands for a missing number. For a category it is the empty cell alone, since any
#: other text may be one.
_MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>"})
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def read_csv(body: bytes, contract: Contract) -> list[dict[str, object]]:
    """Returns a record a line; the first line names the columns.

    A first column without a name is the index of a data frame and is left out. What is no
    number stays a text, which the contract then refuses by name.

    Raises:
        InvalidInputError: it is no CSV in UTF-8, or a line has too many or too few cells.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise _refused("must be text in UTF-8") from exc
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except csv.Error as exc:
        raise _refused(f"is not valid CSV: {exc}") from exc
    if not lines:
        raise _refused("must begin with a line of column names")
    names, rows = lines[0], lines[1:]
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise _refused(f"names a column more than once: {shown(repeated[0])}")
    wrong = [number for number, row in enumerate(rows) if len(row) != len(names)]
    if wrong:
        raise _refused(f"has {len(wrong):,} lines without {len(names)} cells; record {wrong[0]}")
    numeric = {field.name: field.type.is_numeric for field in contract.fields}
    kinds = [(name, numeric.get(name, False)) for name in names]
    return [_record(kinds, row) for row in rows]


def _record(kinds: Sequence[tuple[str, bool]], row: Sequence[str]) -> dict[str, object]:
    record: dict[str, object] = {}
    for position, ((name, is_number), cell) in enumerate(zip(kinds, row, strict=True)):
        if position == 0 and not name:
            continue
        record[name] = _number(cell.strip()) if is_number else cell or None
    return record


def _number(cell: str) -> float | int | str | None:
    if cell in _MISSING:
        return None
    if _WHOLE.fullmatch(cell):
        return int(cell)
    return float(cell) if _NUMBER.fullmatch(cell) else cell


def _refused(problem: str) -> InvalidInputError:
    return refusal(iter([Offence(BODY, problem)]), "")
