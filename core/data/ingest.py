"""Brings a problem's labelled rows into a workspace: first stage of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from core.data.labelled import LabelledBatch, with_batches
from core.data.tables import ROW_ID, read_table, write_table
from core.errors import InvalidInputError, Offence
from core.problems.contract import Contract, DatasetSource, Problem

#: provider -> function from a data set's name to its rows.
Providers = Mapping[str, Callable[[str], pa.Table]]


def read_file_source(name: str) -> pa.Table:
    """Provider ``file``: the name is a path."""
    return read_table(Path(name))


def ingest(
    problem: Problem,
    providers: Providers,
    target: Path,
    batches: Sequence[LabelledBatch] = (),
) -> int:
    """Writes the problem's rows and those of batches to ``target``; returns their number.

    Identifiers, leaky columns and everything the contract does not name are dropped; of
    the texts that it reduces, no more than their category is kept. ``row_id`` is the
    row's index in the source; those of batches come after all of these.

    Raises:
        InvalidInputError: the source lacks columns of the contract.
    """
    table = reduce_texts(_load(problem.source, providers), problem.contract)
    contract = problem.contract
    wanted = [*contract.names, contract.label.name]
    wanted += [contract.timestamp] if contract.timestamp else []
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise InvalidInputError(
            f"The data of {problem.name} lacks the columns {', '.join(missing)}.",
            fix="Compare its header with the problem's contract.",
            offences=[Offence(name, "column is missing") for name in missing],
        )
    kept = table.select(wanted)
    ids = pa.array(range(table.num_rows), type=pa.int64())
    rows = with_batches(kept.add_column(0, ROW_ID, ids), problem.contract, batches)
    write_table(rows, target)
    return int(rows.num_rows)


def reduce_texts(table: pa.Table, contract: Contract) -> pa.Table:
    """Replaces the texts that the contract reduces by the fields that are kept of them.

    Those fields are in the result even where the table has neither them nor the texts:
    then every value is missing.
    """
    for source in contract.reduced:
        if source.into in table.column_names and source.name not in table.column_names:
            continue
        values = contract.fill_reduced(
            source, _texts(table, source.into), _texts(table, source.name)
        )
        named = [name for name in (source.name, source.into) if name in table.column_names]
        kept = pa.array(values, pa.string())
        table = table.drop_columns(named).append_column(source.into, kept)
    return table


def _texts(table: pa.Table, name: str) -> list[str | None]:
    """A column as texts, shape (rows,); a column that is not there is all missing."""
    if name not in table.column_names:
        return [None] * int(table.num_rows)
    values = table.column(name).to_pylist()
    return [None if value is None else str(value) for value in values]


def _load(source: DatasetSource, providers: Providers) -> pa.Table:
    return providers[source.provider](source.name)
