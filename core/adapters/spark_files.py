"""What executors read and write: files of the home, or objects of an S3 store for the time.

Whoever prepares data has it in a workspace of the home either way. With a store, executors
need not see that folder: what they read is put into the store before, what they write they
write there, and it is fetched from there. Spark has no jars for S3 (ADR 40), so tasks read
and write by pyarrow.
"""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyspark import TaskContext
from pyspark.errors.exceptions.captured import CapturedException
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from core.adapters.object_store import open_store
from core.adapters.spark_gathering import gather_model
from core.data.tables import check_rows, write_table
from core.errors import RowCountError, UnavailableError
from core.settings_store import S3Store
from core.store_errors import store_errors

LOG = logging.getLogger(__name__)
#: Folder of the store for what work on Spark needs while it lasts.
FOLDER = "spark"
#: What a process that was killed has left goes after this time.
FORGOTTEN_AFTER = timedelta(days=7)
#: Rows that a task hands to Spark at a time; Spark's own number.
_BATCH_ROWS = 10_000
_WHAT = "work on Spark"
_NOWHERE = Path()


class SparkFiles(Protocol):
    """How data gets to executors and back; places are those of a workspace."""

    @property
    def is_shared(self) -> bool:
        """Whether a folder of the home is one and the same to every executor."""

    def read_frame(self, spark: SparkSession, place: Path) -> DataFrame:
        """A frame of a Parquet file, or of those of a folder; in no order that holds."""

    def write_frame(self, frame: DataFrame, folder: Path) -> None:
        """Writes a file for each partition that is the first or has rows; counts the rows.

        Raises:
            RowCountError: the files hold another number of rows than the frame.
        """

    def save_model(self, model: PipelineModel, folder: Path) -> None:
        """Saves a fitted pipeline as Spark does, in place of what is there."""


class SharedFolder:
    """Executors read and write the workspace itself."""

    is_shared = True

    def read_frame(self, spark: SparkSession, place: Path) -> DataFrame:
        """Reads by Spark."""
        return spark.read.parquet(f"file://{place}")

    def write_frame(self, frame: DataFrame, folder: Path) -> None:
        """Writes by Spark, then once more by pyarrow."""
        expected = frame.count()
        frame.write.mode("overwrite").parquet(f"file://{folder}")
        for index, path in enumerate(parts_of(folder)):
            # Spark's writer lists a column's encodings in the order of a JVM's hash set, which
            # differs from one JVM to the next; rewritten, equal rows are equal bytes.
            # Spark writes times as INT96, and reads none that count nanoseconds.
            table = pq.read_table(path, coerce_int96_timestamp_unit="us")
            path.unlink()
            write_table(table, folder / _part(index))
        for leftover in [*folder.glob(".*.crc"), *folder.glob("_SUCCESS")]:
            leftover.unlink()
        check_rows(folder, expected)

    def save_model(self, model: PipelineModel, folder: Path) -> None:
        """Saves by Spark."""
        model.write().overwrite().save(f"file://{folder}")


@dataclass(frozen=True)
class _Piece:
    """A group of rows of a file in the store."""

    path: str
    group: int


class StoreExchange:
    """Executors read and write a folder of the store, which is removed after the work.

    Tasks carry the store with its key inside their closure (ADR 40).
    """

    is_shared = False

    def __init__(self, store: S3Store, folder: str) -> None:
        self._store = store
        self._files = open_store(store, _NOWHERE)
        self._folder = folder
        self._made = 0
        #: What executors have written: folder of the workspace -> its files in the store.
        self._written: dict[Path, Sequence[str]] = {}

    def read_frame(self, spark: SparkSession, place: Path) -> DataFrame:
        """Reads by pyarrow, a task for each group of rows."""
        with store_errors(_WHAT, is_in_home=False):
            paths = self._written.get(place) or self._offer(place)
            pieces, schema = self._pieces(paths)
        store = self._store
        # Numbered while in flight: Spark cannot address a name with a dot.
        numbered = [f"c{number}" for number in range(len(schema))]

        def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            files = open_store(store, _NOWHERE)
            for number in (n for batch in batches for n in batch.column(0).to_pylist()):
                piece = pieces[number]
                with files.open_input_file(piece.path) as source, pq.ParquetFile(source) as file:
                    for rows in file.iter_batches(_BATCH_ROWS, row_groups=[piece.group]):
                        yield rows.rename_columns(numbered)

        # As Spark reads files: anything may be missing, and a time without zone has none.
        named = pa.schema(
            [pa.field(name, kind) for name, kind in zip(numbered, schema.types, strict=True)]
        )
        spread = spark.range(0, len(pieces), 1, len(pieces))
        frame = spread.mapInArrow(read, from_arrow_schema(named, prefer_timestamp_ntz=True))
        return frame.toDF(*schema.names)

    def write_frame(self, frame: DataFrame, folder: Path) -> None:
        """Writes by pyarrow, a task for each partition; then fetches the files."""
        store, names, target = self._store, frame.columns, self._place_for(folder)

        def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            some = [batch for batch in batches if batch.num_rows]
            if not some:
                return
            number = TaskContext.get().partitionId()
            table = pa.Table.from_batches(some).rename_columns(names)
            # One call puts the object in place as a whole, so a task may be begun again.
            with open_store(store, _NOWHERE).open_output_stream(f"{target}/{_part(number)}") as to:
                pq.write_table(_plain(table), to, compression="snappy")
            yield pa.record_batch({"part": [number], "rows": [table.num_rows]})

        numbered = frame.toDF(*[f"c{number}" for number in range(len(names))])
        with _spark_errors():
            expected = frame.count()
            written = sorted(numbered.mapInArrow(write, "part long, rows long").collect())
        if sum(rows for _, rows in written) != expected:
            raise RowCountError(
                f"{folder.name} holds {sum(rows for _, rows in written)} rows, but {expected} "
                "were written.",
                fix="Try again; the run's log has the rest.",
            )
        paths = [f"{target}/{_part(number)}" for number, _ in written]
        with store_errors(_WHAT, is_in_home=False):
            tables = (
                pq.read_table(path, filesystem=self._files, partitioning=None) for path in paths
            )
            # Spark writes a file for the first partition, whether it has rows or not.
            first = () if written and written[0][0] == 0 else (_empty(frame),)
            _replace(folder, chain(first, tables))
        check_rows(folder, expected)
        self._written[folder] = paths

    def save_model(self, model: PipelineModel, folder: Path) -> None:
        """Has executors save to their own disks and hand over what they have saved."""
        gather_model(model, folder)

    def _offer(self, place: Path) -> Sequence[str]:
        """Copies a file, or those of a folder, into the store."""
        files = parts_of(place) if place.is_dir() else [place]
        target = self._place_for(place)
        paths = [f"{target}/{file.name}" for file in files]
        for file, path in zip(files, paths, strict=True):
            with file.open("rb") as source, self._files.open_output_stream(path) as sink:
                shutil.copyfileobj(source, sink, 8 << 20)
        return paths

    def _pieces(self, paths: Sequence[str]) -> tuple[Sequence[_Piece], pa.Schema]:
        pieces: list[_Piece] = []
        for path in paths:
            with self._files.open_input_file(path) as source, pq.ParquetFile(source) as file:
                pieces += [_Piece(path, group) for group in range(file.num_row_groups)]
                schema = file.schema_arrow
        return pieces, schema

    def _place_for(self, place: Path) -> str:
        self._made += 1
        return f"{self._folder}/{self._made:03d}-{place.stem}"


@contextmanager
def spark_files(store: S3Store | None) -> Iterator[SparkFiles]:
    """How data gets to executors: through the store, if there is one, or in the home.

    What is in the store goes with the end of the block.
    """
    if store is None:
        yield SharedFolder()
        return
    files, folder = open_store(store, _NOWHERE), f"{FOLDER}/{uuid.uuid4().hex}"
    try:
        yield StoreExchange(store, folder)
    finally:
        try:
            with store_errors(_WHAT, is_in_home=False):
                _remove(files, folder)
                _forget(files, datetime.now(UTC) - FORGOTTEN_AFTER)
        except UnavailableError as exc:
            # The next one removes it.
            LOG.warning("%s", exc)


def parts_of(folder: Path) -> list[Path]:
    """The files that a frame was written to, in order."""
    return sorted(folder.glob("part-*.parquet"))


def _replace(folder: Path, tables: Iterable[pa.Table]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for index, table in enumerate(tables):
        write_table(table, folder / _part(index))


def _empty(frame: DataFrame) -> pa.Table:
    return _plain(to_arrow_schema(frame.schema).empty_table())


def _part(number: int) -> str:
    return f"part-{number:05d}.parquet"


def _plain(table: pa.Table) -> pa.Table:
    """Times as Spark's own files have them: in UTC, without saying so."""
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz is not None:
            plain = table.column(index).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
            table = table.set_column(index, pa.field(field.name, plain.type, field.nullable), plain)
    return table


def _remove(files: fs.FileSystem, folder: str) -> None:
    with suppress(FileNotFoundError):
        files.delete_dir(folder)


def _forget(files: fs.FileSystem, before: datetime) -> None:
    """Removes what processes have left that were killed long ago."""
    latest: dict[str, datetime] = {}
    for info in files.get_file_info(fs.FileSelector(FOLDER, allow_not_found=True, recursive=True)):
        if info.type is fs.FileType.File:
            folder = "/".join(info.path.split("/")[:2])
            latest[folder] = max(info.mtime, latest.get(folder, info.mtime))
    for folder, at in latest.items():
        if at < before:
            _remove(files, folder)


@contextmanager
def _spark_errors() -> Iterator[None]:
    try:
        yield
    except CapturedException as exc:
        if "AWS Error" not in str(exc):
            raise
        raise UnavailableError(
            "Spark's executors cannot use the S3 store.",
            fix="Check that every node reaches it, and the settings PILOTHOUSE_S3_*; the run's log "
            "has the rest.",
        ) from exc
