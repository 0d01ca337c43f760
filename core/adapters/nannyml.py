"""The data sets that the nannyml wheel bundles."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from core.errors import NotFoundError, SetupError

_REFERENCE = "_reference.csv"
_LATER = "_analysis.csv"
#: Labels of the later rows; the name differs from one data set to the next.
_LATER_LABELS = ("_analysis_target.csv", "_target.csv")


def load_reference(name: str) -> pa.Table:
    """Returns the labelled rows of a bundled data set, every column as delivered.

    The file is read where the wheel keeps it. Importing the package for it would take
    seconds and, by way of LightGBM, a system library that a bare machine lacks.

    Raises:
        NotFoundError: there is no bundled data set of that name.
        SetupError: the package is not installed.
    """
    return pa_csv.read_csv(_folder_with(name) / f"{name}{_REFERENCE}")


def load_later(name: str) -> pa.Table:
    """Returns the rows that come after the reference, with the labels that come later still.

    Both files begin with the same identifier a row, by which they are joined.

    Raises:
        NotFoundError: there is no bundled data set of that name, or it has no labels.
        SetupError: the package is not installed.
    """
    folder = _folder_with(name)
    rows = pa_csv.read_csv(folder / f"{name}{_LATER}")
    for ending in _LATER_LABELS:
        file = folder / f"{name}{ending}"
        if file.exists():
            labels = pa_csv.read_csv(file)
            identifier, label = labels.column_names
            if labels.column(identifier) != rows.column(identifier):
                raise AssertionError(f"rows and labels of {name} are not in the same order")
            return rows.append_column(label, labels.column(label))
    raise NotFoundError(f"NannyML bundles no labels for the later rows of {name}.")


def _folder_with(name: str) -> Path:
    spec = find_spec("nannyml")
    if spec is None or spec.origin is None:
        raise SetupError("The package nannyml is not installed.", fix="Run `make up`.")
    folder = Path(spec.origin).parent / "datasets" / "data"
    bundled = sorted(file.name.removesuffix(_REFERENCE) for file in folder.glob(f"*{_REFERENCE}"))
    if name not in bundled:
        raise NotFoundError(
            f"NannyML bundles no data set called {name!r}.",
            fix=f"Choose one of: {', '.join(bundled)}.",
        )
    return folder
