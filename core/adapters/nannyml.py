"""The data sets that the nannyml wheel bundles."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from core.errors import NotFoundError, SetupError

_REFERENCE = "_reference.csv"


def load_reference(name: str) -> pa.Table:
    """Returns the labelled rows of a bundled data set, every column as delivered.

    The file is read where the wheel keeps it. Importing the package for it would take
    seconds and, by way of LightGBM, a system library that a bare machine lacks.

    Raises:
        NotFoundError: there is no bundled data set of that name.
        SetupError: the package is not installed.
    """
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
    return pa_csv.read_csv(folder / f"{name}{_REFERENCE}")
