"""One check of many rows, or NannyML alone on the same rows, in a process of its own.

Rows are drawn from NannyML's bundled car loans, the reference from its reference, with a
little noise on the numbers. Scoring is not part of it: the probability comes with the data.
Prints its outcome as one line of JSON; the clock starts when the rows are in memory.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.drawn import draw
from core.adapters.nannyml import load_later, load_reference
from core.bootstrap_engines import build_detector
from core.data.tables import ROW_ID
from core.data.validation import validate
from core.monitoring.examine import ArrivedTable, History, examine
from core.params import load_params
from core.problems.car_loan import PROBLEM
from core.settings import CODE_ROOT

CHUNKS = 10
_SOURCE = PROBLEM.source.name
#: What the data set's own model said.
_PROBABILITY, _PREDICTION = "y_pred_proba", "y_pred"


def main() -> int:
    """Measures the way named on the command line with so many rows."""
    way, rows = sys.argv[1], int(sys.argv[2])
    reference = _typed(load_reference(_SOURCE))
    arrived = _drawn(_typed(load_later(_SOURCE)), rows)
    build_detector()  # imports NannyML, which takes seconds
    began = time.perf_counter()
    note = WAYS[way](reference, arrived)
    seconds = time.perf_counter() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak_mb, "note": note}) + "\n")
    return 0


def _ours(reference: pa.Table, arrived: pa.Table) -> str:
    found = examine(
        "0" * 32,
        PROBLEM.contract,
        reference,
        ArrivedTable(arrived.drop_columns(["label"])),
        0.5,
        History(),
        load_params(CODE_ROOT / "params.yaml").monitoring,
        build_detector,
        lambda percent, message: None,
    )
    return found.verdict.level.value


def _nannyml(reference: pa.Table, arrived: pa.Table) -> str:
    """The calculators that a check asks, on every row and with as many chunks."""
    import nannyml

    names = list(PROBLEM.contract.names)
    then, now = _frame(reference), _frame(arrived)
    nannyml.UnivariateDriftCalculator(
        column_names=[*names, _PROBABILITY],
        continuous_methods=["jensen_shannon", "kolmogorov_smirnov"],
        categorical_methods=["jensen_shannon", "chi2"],
        chunk_number=CHUNKS,
    ).fit(then).calculate(now)
    nannyml.DataReconstructionDriftCalculator(column_names=names, chunk_number=CHUNKS).fit(
        then
    ).calculate(now)
    nannyml.CBPE(
        problem_type="classification_binary",
        y_pred_proba=_PROBABILITY,
        y_pred=_PREDICTION,
        y_true="label",
        metrics=["roc_auc"],
        chunk_number=CHUNKS,
    ).fit(then).estimate(now)
    return ""


WAYS: Mapping[str, Callable[[pa.Table, pa.Table], str]] = {"nannyml": _nannyml, "ours": _ours}


def _typed(table: pa.Table) -> pa.Table:
    """Rows as a batch holds them, with the bundled model's probability."""
    ids = pa.array(range(table.num_rows), pa.int64())
    checked = validate(table.append_column(ROW_ID, ids), PROBLEM.contract).table
    return checked.append_column("probability", table.column(_PROBABILITY).cast(pa.float64()))


def _drawn(table: pa.Table, rows: int) -> pa.Table:
    random = np.random.default_rng(7)
    places = np.sort(random.integers(0, table.num_rows, rows))
    return draw(table, pa.array(places), random)


def _frame(table: pa.Table) -> pd.DataFrame:
    frame = table.to_pandas().rename(columns={"probability": _PROBABILITY})
    frame[_PREDICTION] = (frame[_PROBABILITY] >= 0.5).astype(int)
    return frame


if __name__ == "__main__":
    sys.exit(main())
