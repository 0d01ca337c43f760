"""A Parquet file of somebody else's, read by a process that may take no more than it is given."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from core.data.confined_reader import REFUSED, Description, Order, Refusal
from core.data.reading import Chunk, neither
from core.errors import InvalidInputError, Offence, UnavailableError
from core.params_intake import IntakeParams
from core.settings import CODE_ROOT, inherited_environment

LOG = logging.getLogger(__name__)
#: What a Parquet file begins and ends with.
MAGIC = b"PAR1"
#: Of what the process says at its end.
_SAID_BYTES = 1 << 16
#: Where the interpreter finds its own libraries; nothing else of the environment, and no
#: secret in it, is for a process that a file may lead astray.
_PASSED_ON = ("LD_LIBRARY_PATH",)
#: Arrow's own allocator takes a GiB at once, which would use up what there is; each thread of
#: the linear algebra behind NumPy has a buffer.
_ENVIRONMENT = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1"}


class ConfinedParquet:
    """A Parquet file whose columns hold plain values; see ``core.data.confined_reader``."""

    def __init__(self, path: Path, name: str, limits: IntakeParams) -> None:
        self.name = name
        self.malformed: list[Offence] = []
        self._path = path
        self._limits = limits
        _require_end(path, name)
        with self._reading(None) as out:
            found = Description.model_validate_json(out.read())
        self.names = found.names
        self._rows = found.rows

    @property
    def malformed_rows(self) -> int:
        """Always none: a row of Parquet has every column."""
        return 0

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yields these columns of every row: float64, int64, string, or a date or time."""
        read = 0
        with self._reading(columns) as out:
            for batch in pa.ipc.open_stream(out):
                rows = np.arange(read, read + batch.num_rows, dtype=np.int64)
                read += batch.num_rows
                yield Chunk(pa.Table.from_batches([batch]), rows, min(1.0, read / self._rows))
        if read != self._rows:
            raise self._broken(f"{read} of {self._rows} rows")

    @contextmanager
    def _reading(self, columns: Sequence[str] | None) -> Iterator[IO[bytes]]:
        """Gives what the process writes; a refusal of its own says more than what came of it."""
        asked = None if columns is None else tuple(columns)
        with (
            self._path.open("rb") as file,
            tempfile.TemporaryFile() as said,
            _started(file, said) as process,
        ):
            order = Order(
                descriptor=file.fileno(), name=self.name, columns=asked, limits=self._limits
            )
            # Pipes, as was asked for.
            to_it, from_it = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
            try:
                with to_it:
                    to_it.write(order.model_dump_json().encode())
                yield from_it
            except (pa.ArrowException, OSError, ValidationError) as exc:
                from_it.close()
                self._require_success(process.wait(), said)
                raise self._broken(str(exc)) from exc
            self._require_success(process.wait(), said)

    def _require_success(self, status: int, said: IO[bytes]) -> None:
        if status == 0:
            return
        said.seek(0)
        text = said.read(_SAID_BYTES)
        if status == REFUSED:
            raise Refusal.model_validate_json(text).error()
        raise self._broken(f"status {status}: {text[-500:]!r}")

    def _broken(self, said: str) -> InvalidInputError:
        LOG.warning("the process that read the file %s did not get through: %s", self.name, said)
        return InvalidInputError(
            f"The file {self.name} is damaged, or made to do harm: it cannot be read to its end.",
            fix="Write it again, or give it as CSV.",
        )


def _require_end(path: Path, name: str) -> None:
    """Refuses a file that is cut off, for which no process has to be started."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(MAGIC)))
        if file.read() != MAGIC or size <= 2 * len(MAGIC):
            raise neither(name)


@contextmanager
def _started(file: IO[bytes], said: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Starts the reader of an open file; it does not outlive the block."""
    inherited = inherited_environment()
    passed_on = {name: inherited[name] for name in _PASSED_ON if name in inherited}
    try:
        process = subprocess.Popen(
            # -P, because a module in the working folder would come first.
            [sys.executable, "-P", "-m", "core.data.confined_reader"],
            env={"PYTHONPATH": str(CODE_ROOT), **_ENVIRONMENT, **passed_on},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            # Not its path, which need not be text.
            pass_fds=[file.fileno()],
        )
    except OSError as exc:
        raise UnavailableError(
            f"The process that reads Parquet cannot be started ({exc.strerror}).",
            fix="Check the machine's memory and its limit of processes.",
        ) from exc
    with process:
        try:
            yield process
        finally:
            process.kill()
