"""Two tables of rows side by side: how many, what is missing, and how each column is spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.data.batch_files import AT, LABEL
from core.data.batch_schema import ColumnTypes, compare_schemas
from core.problems.contract import Contract, Field, FieldType, Label

#: Parts of a number's range; each holds about as many rows of the first table.
BINS = 10
#: Numbers with so few distinct values are shown value by value.
FEW_VALUES = 12
#: Categories that are shown by name; the rest are one.
MOST_CATEGORIES = 12
#: From here on numbers are written with an exponent.
_LARGE = 1e9
MISSING = "missing"
REST = "others"


@dataclass(frozen=True)
class Share:
    """One bin or category, and the share of all rows of each table that falls into it."""

    name: str
    first: float
    second: float


@dataclass(frozen=True)
class ColumnComparison:
    """One column in both tables. The shares of a table add up to 1, missing values included."""

    name: str
    #: ``integer``, ``number``, ``category`` or ``label``.
    type: str
    unit: str
    first_missing: int
    second_missing: int
    shares: tuple[Share, ...]

    @property
    def title(self) -> str:
        """The column's name, with its unit where it has one."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def distance(self) -> float:
        """Half the sum of the differences between shares: 0 is the same, 1 is nothing shared.

        This is the total variation distance of the two binned distributions.
        """
        return sum(abs(one.first - one.second) for one in self.shares) / 2


@dataclass(frozen=True)
class TableFacts:
    """What is said of a whole table."""

    rows: int
    labelled: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True)
class BatchComparison:
    """Two tables; columns in the order of the contract, the label last.

    Distributions are compared of columns that both tables have as today's contract has them;
    ``schema`` tells of all columns.
    """

    first: TableFacts
    second: TableFacts
    columns: tuple[ColumnComparison, ...]
    schema: tuple[ColumnTypes, ...]


class Rows(Protocol):
    """One of the two sides: a ``pyarrow.Table``, or what reads a column when it is asked for."""

    num_rows: int
    schema: pa.Schema

    def column(self, name: str) -> pa.ChunkedArray:
        """One column of all rows."""


def compare_tables(first: Rows, second: Rows, contract: Contract) -> BatchComparison:
    """Compares two tables laid out as ``batch_files`` says, column by column; ``at`` may be absent.

    Either may have been stored under another contract than today's. The bins of a number are
    the first table's deciles, stretched to the range of both.
    """
    schema = compare_schemas(first.schema, second.schema, contract)
    alike = {one.name for one in schema if not one.differs}
    columns = [_compare_field(one, first, second) for one in contract.fields if one.name in alike]
    columns.append(_compare_label(contract.label, first, second))
    return BatchComparison(_facts(first), _facts(second), tuple(columns), tuple(schema))


def _facts(table: Rows) -> TableFacts:
    ends = {"min": None, "max": None}
    if AT in table.schema.names:
        ends = pc.min_max(table.column(AT)).as_py()
    labelled = table.num_rows - table.column(LABEL).null_count
    return TableFacts(table.num_rows, labelled, ends["min"], ends["max"])


def _compare_field(field: Field, first: Rows, second: Rows) -> ColumnComparison:
    pair = (first.column(field.name), second.column(field.name))
    if field.type is FieldType.CATEGORY:
        counts = [_count(values) for values in pair]
        names = _categories(field.categories, counts)
        rest = [sum(one.values()) - sum(one[name] for name in names) for one in counts]
        named = [(name, counts[0][name], counts[1][name]) for name in names]
        named += [(REST, rest[0], rest[1])] if any(rest) else []
    else:
        named = _bin_numbers([_numbers(values) for values in pair])
    return _compared(field.name, field.type.value, field.unit, pair, named)


def _compare_label(label: Label, first: Rows, second: Rows) -> ColumnComparison:
    pair = (first.column(LABEL), second.column(LABEL))
    ones = [int(pc.sum(values).as_py() or 0) for values in pair]
    zeros = [len(values) - values.null_count - one for values, one in zip(pair, ones, strict=True)]
    named = [(label.positive_meaning, *ones), (label.negative_meaning, *zeros)]
    return _compared(label.name, "label", "", pair, named)


def _compared(
    name: str,
    kind: str,
    unit: str,
    pair: tuple[pa.ChunkedArray, pa.ChunkedArray],
    named: Sequence[tuple[str, int, int]],
) -> ColumnComparison:
    missing = (pair[0].null_count, pair[1].null_count)
    counted = [*named, (MISSING, *missing)] if any(missing) else named
    rows = [max(len(values), 1) for values in pair]
    shares = tuple(Share(one, a / rows[0], b / rows[1]) for one, a, b in counted)
    return ColumnComparison(name, kind, unit, *missing, shares)


def _count(values: pa.ChunkedArray) -> Counter[str]:
    return Counter(
        {one["values"]: one["counts"] for one in pc.value_counts(values.drop_null()).to_pylist()}
    )


def _categories(known: Sequence[str], counts: Sequence[Counter[str]]) -> list[str]:
    """Known categories as declared, then others by their rows, at most so many."""
    strangers = (counts[0] + counts[1]).keys() - set(known)
    by_rows = sorted(strangers, key=lambda name: (-sum(one[name] for one in counts), name))
    return [*known, *by_rows][:MOST_CATEGORIES]


def _numbers(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    present: npt.NDArray[np.float64] = values.drop_null().cast(pa.float64()).to_numpy()
    return present


def _bin_numbers(pair: Sequence[npt.NDArray[np.float64]]) -> list[tuple[str, int, int]]:
    """Counts by value where there are few, else by bins; ``pair`` has no missing values."""
    distinct = [np.unique(values, return_counts=True) for values in pair]
    values = np.union1d(distinct[0][0], distinct[1][0])
    if values.size <= FEW_VALUES:
        found = [dict(zip(*one, strict=True)) for one in distinct]
        return [(f"{v:g}", int(found[0].get(v, 0)), int(found[1].get(v, 0))) for v in values]
    edges = _edges(pair, values)
    counts = [np.histogram(one, edges)[0] for one in pair]
    texts = _texts(edges)
    return [
        (f"{low} to {high}", int(a), int(b))
        for low, high, a, b in zip(texts[:-1], texts[1:], *counts, strict=True)
    ]


def _edges(
    pair: Sequence[npt.NDArray[np.float64]], values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Edges of bins, increasing; ``values`` are the distinct ones of both, sorted."""
    made_of = pair[0] if pair[0].size else pair[1]
    inner = np.quantile(made_of, np.linspace(0, 1, BINS + 1)[1:-1])
    edges = np.concatenate([values[:1], inner, values[-1:]])
    return np.unique(edges)


def _texts(edges: npt.NDArray[np.float64]) -> list[str]:
    """Edges in as few digits as tell them apart, but for four."""
    for digits in (4, 6, 9, 17):
        texts = [_plain(edge, digits) for edge in edges]
        if len(set(texts)) == len(texts):
            break
    return texts


def _plain(value: float, digits: int) -> str:
    if abs(value) >= _LARGE:
        return f"{value:.{digits}g}"
    return np.format_float_positional(value, digits, fractional=False, trim="-")
