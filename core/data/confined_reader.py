"""The process that reads one Parquet file of somebody else's for ``core.data.confined``.

A small file can make a reader allocate gigabytes, recurse until the stack ends, or loop. This
process has bounds for memory and time that the system keeps, so that it is all that suffers.

It takes an ``Order`` as JSON on standard input. On standard output it answers with a
``Description`` as JSON or, if columns are asked for, with their rows as a stream of Arrow's IPC
format. A refusal is JSON on standard error, with the exit status ``REFUSED``.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from core.data.reading_parquet import ParquetFile
from core.errors import InvalidInputError, Offence
from core.frozen import Frozen
from core.params_intake import IntakeParams

#: Exit status of a refusal.
REFUSED = 3
#: More CPU time than any file of the allowed size takes to read.
_CPU_S = 900
#: The only file that it may write to is its standard error.
_SAID_BYTES = 1 << 20
#: Most bytes of rows in one message: the other side takes them one at a time.
_MESSAGE_BYTES = 32 << 20
#: Longest text; a row of a CSV file may not be longer either.
_TEXT_BYTES = 8 << 20


class Order(Frozen):
    """What is to be read: a description where ``columns`` is ``None``, else their rows.

    ``descriptor`` is that of the file, which this process was started with.
    """

    descriptor: int
    name: str
    columns: tuple[str, ...] | None
    limits: IntakeParams


class Description(Frozen):
    """What a file says of itself."""

    names: tuple[str, ...]
    rows: int


class Refusal(Frozen):
    """An ``InvalidInputError`` on its way to the other process."""

    message: str
    fix: str
    #: Field and problem of each offence.
    offences: tuple[tuple[str, str], ...]

    def error(self) -> InvalidInputError:
        """The error it stands for."""
        return InvalidInputError(
            self.message, fix=self.fix, offences=[Offence(*one) for one in self.offences]
        )


def main() -> int:
    """Answers one order; returns the exit status."""
    order = Order.model_validate_json(sys.stdin.buffer.read())
    _confine(order.limits)
    try:
        _answer(order)
    except InvalidInputError as exc:
        return _refuse(exc)
    except MemoryError:
        return _refuse(
            InvalidInputError(
                f"The file {order.name} takes more than {order.limits.reader_mb:,} MiB of memory "
                "to read.",
                fix="Write it again with smaller pages and row groups, or give it as CSV.",
            )
        )
    return 0


def _confine(limits: IntakeParams) -> None:
    # Each thread takes a stack and an arena of its own from the memory.
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    bounds = {
        resource.RLIMIT_DATA: limits.reader_mb << 20,
        resource.RLIMIT_CPU: _CPU_S,
        resource.RLIMIT_FSIZE: _SAID_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, bound in bounds.items():
        most = resource.getrlimit(kind)[1]
        bound = bound if most == resource.RLIM_INFINITY else min(bound, most)
        resource.setrlimit(kind, (bound, bound))


def _answer(order: Order) -> None:
    # A path and not an open file of Python's, which Arrow would read through Python.
    file = ParquetFile(Path(f"/dev/fd/{order.descriptor}"), order.name, order.limits)
    out = sys.stdout.buffer
    if order.columns is None:
        out.write(Description(names=file.names, rows=file.rows).model_dump_json().encode())
        return
    writer: pa.RecordBatchStreamWriter | None = None
    for chunk in file.chunks(order.columns):
        _require_short_texts(chunk.table, order.name)
        writer = writer or pa.ipc.new_stream(out, chunk.table.schema)
        for piece in _pieces(chunk.table):
            writer.write_table(piece)
    if writer is not None:
        writer.close()


def _require_short_texts(table: pa.Table, name: str) -> None:
    for column in table.columns:
        if pa.types.is_string(column.type):
            longest = pc.max(pc.binary_length(column)).as_py() or 0
            if longest > _TEXT_BYTES:
                raise InvalidInputError(
                    f"The file {name} has a text of more than {_TEXT_BYTES >> 20} MiB.",
                    fix="Leave out what is not data.",
                )


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    """The rows in turn, no more of them together than one message holds."""
    if table.nbytes <= _MESSAGE_BYTES or table.num_rows == 1:
        yield table
        return
    half = table.num_rows // 2
    yield from _pieces(table.slice(0, half))
    yield from _pieces(table.slice(half))


def _refuse(exc: InvalidInputError) -> int:
    offences = tuple((one.field, one.problem) for one in exc.offences)
    refusal = Refusal(message=exc.message, fix=exc.fix, offences=offences)
    sys.stderr.write(refusal.model_dump_json())
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
