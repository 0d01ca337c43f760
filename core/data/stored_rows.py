"""The columns of a stored batch, each in memory only while it is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.data.batch_files import Fetch, batches_folder, local_batch_file, only_here
from core.errors import NotFoundError


class StoredRows:
    """What ``pyarrow.Table`` says of the rows, read from the file when it is asked for.

    Raises:
        NotFoundError: the batch's file is gone; so do its methods.
        UnavailableError: the file is missing and the store that has it does not answer.
    """

    def __init__(self, home: Path, problem: str, batch_id: str, fetch: Fetch = only_here) -> None:
        self._home, self._batch_id = home, batch_id
        self._path = local_batch_file(home, problem, batch_id, fetch)
        with self._opened() as file:
            self.num_rows: int = file.metadata.num_rows
            self.schema: pa.Schema = file.schema_arrow

    def column(self, name: str) -> pa.ChunkedArray:
        """Reads one column.

        Raises:
            NotFoundError: the batch has no such column, or its file is gone.
        """
        if name not in self.schema.names:
            raise NotFoundError(
                f"Batch {self._batch_id} has no column {name}: the contract was another one "
                "when it was added.",
                fix="Add its file again if that has the column.",
            )
        # The reader takes a dot in a name for a path and may give more than was asked.
        with self._opened() as file:
            return file.read(columns=[name]).column(name)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Reads these columns, or all."""
        return pa.table({name: self.column(name) for name in columns or self.schema.names})

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(self._path) as file:
                yield file
        except (OSError, pa.ArrowException) as exc:
            raise NotFoundError(
                f"The rows of batch {self._batch_id} are gone from {batches_folder(self._home)}.",
                fix="`dvc checkout` in that folder brings back what is in DVC's cache.",
            ) from exc
