"""Tables of a log: put together whatever their columns are, and read from Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.data.batch_files import AT

#: Type of ``at``, which every log has: when a row came.
AT_TYPE = pa.timestamp("us", tz="UTC")
#: Rows are in order of time, so a group is a stretch of it, and of a file only the groups
#: of a span are read. Measured on a million rows: 0.02 s in place of 0.4 s, for a file that
#: is an eighth larger than with one group.
GROUP_ROWS = 1 << 17


@dataclass(frozen=True)
class Span:
    """From ``since`` on and before ``until``; ``None`` is no limit. Times with their zone."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def conditions(self) -> tuple[pc.Expression, ...]:
        """What is true of the rows in it."""
        since = () if self.since is None else (pc.field(AT) >= self.since,)
        until = () if self.until is None else (pc.field(AT) < self.until,)
        return (*since, *until)

    def meets(self, first: datetime, last: datetime) -> bool:
        """Whether some of the time from ``first`` to ``last``, both included, is in it."""
        is_before = self.since is not None and last < self.since
        is_after = self.until is not None and first >= self.until
        return not is_before and not is_after


ALWAYS = Span()


def combine(tables: Iterable[pa.Table]) -> pa.Table:
    """Puts tables one after the other, oldest first, whatever columns each has.

    A column that a table lacks is null there. Where a column has changed its type the last
    table decides; earlier values of another type are null.
    """
    tables = list(tables)
    types = {field.name: field.type for table in tables for field in table.schema}
    return pa.concat_tables(
        fit(table, pa.schema([pa.field(name, kind) for name, kind in types.items()]))
        for table in tables
    )


def fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Returns the columns of ``schema``, null where the table has none of that type."""
    kept = [
        table[field.name]
        if field.name in table.column_names and table.schema.field(field.name).type == field.type
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(kept, schema=schema)


def read_groups(file: pq.ParquetFile, columns: set[str] | None, span: Span = ALWAYS) -> pa.Table:
    """Reads those of ``columns`` that a file has; all of them for ``None``.

    Groups of rows that lie outside ``span`` are left out; of the others every row is read.
    """
    groups = [
        number
        for number in range(file.num_row_groups)
        if span == ALWAYS or _meets(file.metadata.row_group(number), span)
    ]
    return file.read_row_groups(groups, columns=chosen(file.schema_arrow.names, columns))


def _meets(group: pq.RowGroupMetaData, span: Span) -> bool:
    columns = (group.column(number) for number in range(group.num_columns))
    statistics = next(column.statistics for column in columns if column.path_in_schema == AT)
    if statistics is None or not statistics.has_min_max:
        return True
    return span.meets(statistics.min, statistics.max)


def chosen(names: Iterable[str], columns: set[str] | None) -> list[str]:
    """The names that are among ``columns``; all of them for ``None``."""
    return [name for name in names if columns is None or name in columns]


def kept(table: pa.Table, conditions: Sequence[pc.Expression]) -> pa.Table:
    """The rows for which all conditions hold."""
    for condition in conditions:
        table = table.filter(condition)
    return table


def rows_after(day: date, tables: Sequence[pa.Table]) -> int:
    """Rows later than any of that day; a segment may hold older ones as well."""
    _, end = ends_of(day)
    return sum(int(pc.sum(pc.greater(table[AT], end)).as_py() or 0) for table in tables)


def ends_of(day: date) -> tuple[datetime, datetime]:
    """First and last microsecond of a day."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + timedelta(days=1, microseconds=-1)
