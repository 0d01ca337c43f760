"""Which columns two tables of rows have, and of what type: a contract may have changed between."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from core.data.batch_files import AT, LABEL
from core.data.tables import ROW_ID
from core.problems.contract import Contract, Field, FieldType

#: Columns that a table has beside the contract's, some of them the reference alone.
_OWN = frozenset({ROW_ID, LABEL, AT, "fold", "probability"})
NUMBER, TEXT = "number", "text"


@dataclass(frozen=True)
class ColumnTypes:
    """One column in two tables and in today's contract: ``number``, ``text`` or ``None``.

    ``None`` says that it is not there.
    """

    name: str
    first: str | None
    second: str | None
    contract: str | None

    @property
    def differs(self) -> bool:
        """Whether the two tables, or they and the contract, do not agree."""
        return not self.first == self.second == self.contract

    def sentence(self, first: str, second: str) -> str:
        """What differs, for people; ``first`` and ``second`` are what the tables are called."""
        sides = ((first, self.first), (second, self.second), ("today's contract", self.contract))
        has = [f"{kind} in {side}" for side, kind in sides if kind is not None]
        lacks = [side for side, kind in sides if kind is None]
        missing = f"; missing in {' and '.join(lacks)}" if lacks else ""
        return f"{self.name}: {', '.join(has)}{missing}."


def compare_schemas(first: pa.Schema, second: pa.Schema, contract: Contract) -> list[ColumnTypes]:
    """The contract's columns in their order, then those that only the tables have."""
    asked = {field.name: kind_of_field(field) for field in contract.fields}
    stored = [*first.names, *second.names]
    names = dict.fromkeys([*asked, *(name for name in stored if name not in _OWN)])
    return [
        ColumnTypes(name, kind_in(first, name), kind_in(second, name), asked.get(name))
        for name in names
    ]


def kind_of_field(field: Field) -> str:
    """How a field's values are stored."""
    return TEXT if field.type is FieldType.CATEGORY else NUMBER


def kind_in(schema: pa.Schema, name: str) -> str | None:
    """How a column's values are stored; ``None`` where it is not there."""
    if name not in schema.names:
        return None
    kind = schema.field(name).type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return NUMBER
    return TEXT if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)
