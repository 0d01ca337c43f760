"""The data sets that the nannyml wheel bundles."""

from __future__ import annotations

import pyarrow as pa

from core.errors import NotFoundError
from core.settings import silence_vendors


def load_reference(name: str) -> pa.Table:
    """Returns the labelled rows of a bundled data set, every column as delivered.

    Raises:
        NotFoundError: there is no bundled data set of that name.
    """
    silence_vendors()  # a bare `dvc repro` starts without the supervised environment
    import nannyml

    load = getattr(nannyml, f"load_{name}_dataset", None)
    if load is None:
        raise NotFoundError(
            f"NannyML bundles no data set called {name!r}.",
            fix="NannyML's documentation lists them.",
        )
    reference, _analysis, _labels = load()
    return pa.Table.from_pandas(reference, preserve_index=False)
