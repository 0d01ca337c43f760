"""Reads a file of late labels; every offence is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from core.data.given_file import open_given
from core.data.labels import GIVEN_SCHEMA
from core.data.reading import GivenFile
from core.data.tables import whole_table
from core.data.validation import MAX_OFFENCES
from core.errors import DataContractError, InvalidInputError, Offence
from core.params_intake import IntakeParams
from core.problems.contract import Contract, Label

#: Columns that say which row a label belongs to: of a request, or of a batch.
PAIRS = (("request_id", "index"), ("batch_id", "row_id"))
_LARGEST_INDEX = 2**53


def read_labels(path: Path, name: str, contract: Contract, limits: IntakeParams) -> pa.Table:
    """Returns the labels of a CSV or Parquet file, as ``GIVEN_SCHEMA`` says.

    The file has ``request_id`` and ``index``, or ``batch_id`` and ``row_id``, and the
    contract's own label column with its own values. Other columns are not looked at.

    Args:
        path: the file.
        name: what it is called in messages.
        contract: whose labels they are.
        limits: what is taken of a given file.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is neither CSV nor Parquet, is beyond one of the limits, or
            lacks a column.
        DataContractError: values are wrong; carries the first 100 and says how many.
    """
    # All of them are in memory at once, so there may be fewer than rows of a batch.
    bounds = limits.model_copy(update={"max_rows": min(limits.max_rows, limits.max_labels)})
    given = open_given(path, name, bounds)
    source_name, index_name = _pair_of(given)
    label = contract.label
    if label.name not in given.names:
        raise InvalidInputError(
            f"The file {name} lacks the column {label.name}, which holds the labels.",
            fix="Add it; its values are those of the data the model was trained on.",
            offences=[Offence(label.name, "column is missing")],
        )
    frame = whole_table(given, [source_name, index_name, label.name]).to_pandas()
    offences: list[Offence] = []
    sources = _sources(frame[source_name], offences)
    indexes = _indexes(frame[index_name], offences)
    values = _values(frame[label.name], label, offences)
    if offences:
        raise _refusal(name, offences)
    return pa.table(
        [pa.array(sources, pa.string()), pa.array(indexes, pa.int64()), pa.array(values)],
        schema=GIVEN_SCHEMA,
    )


def _pair_of(given: GivenFile) -> tuple[str, str]:
    found = [pair for pair in PAIRS if set(pair) <= set(given.names)]
    if len(found) == 1:
        return found[0]
    pairs = " or ".join(" and ".join(pair) for pair in PAIRS)
    said = "has the columns of both kinds" if found else "does not say which rows it is about"
    raise InvalidInputError(
        f"The file {given.name} {said}.", fix=f"Give it either {pairs}, and the label's column."
    )


def _sources(values: pd.Series, offences: list[Offence]) -> list[str]:
    missing = values.isna() | (values.astype(str) == "")
    _note(str(values.name), missing, "a value is required", offences)
    return [str(value) for value in values]


def _indexes(values: pd.Series, offences: list[Offence]) -> npt.NDArray[np.int64]:
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    # NaN is neither, so that what is no number is wrong as well.
    right = (numbers >= 0) & (numbers < _LARGEST_INDEX) & (numbers == np.floor(numbers))
    _note(str(values.name), ~right, "must be a whole number from 0 on", offences)
    return numbers.where(right, 0.0).to_numpy().astype(np.int64)


def _values(values: pd.Series, label: Label, offences: list[Offence]) -> npt.NDArray[np.float64]:
    # Data frames write 1 as 1.0 where a value is missing; the contract reads both alike.
    texts = values.astype(str)
    known = {text: label.read(text) for text in texts.unique()}
    found = texts.map(known).astype("float64")
    said = f"must be {label.negative} or {label.positive}"
    _note(str(values.name), found.isna(), said, offences)
    return np.asarray(found, dtype=np.float64)


def _note(name: str, wrong: pd.Series, said: str, offences: list[Offence]) -> None:
    offences.extend(Offence(name, said, int(row)) for row in np.flatnonzero(wrong))


def _refusal(name: str, offences: list[Offence]) -> DataContractError:
    ordered = sorted(offences, key=lambda o: (o.row or 0, o.field))
    first = ordered[0]
    values = "1 value is" if len(ordered) == 1 else f"{len(ordered)} values are"
    return DataContractError(
        f"{values} wrong in {name}, the first {first.field} in row {first.row}: {first.problem}.",
        fix="Correct the file and give it again; no label was taken.",
        offences=ordered[:MAX_OFFENCES],
    )
