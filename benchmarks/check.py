"""What a check of 1,000,000 rows takes: seconds, CPU seconds and memory, in this process.

Rows are drawn from NannyML's bundled car loans, the reference from its reference, with a
little noise on the numbers. Scoring is not part of it: the probability comes with the data.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from core.bootstrap import build_detector
from core.monitoring.examine import ArrivedTable, Findings, History, examine
from core.params import load_params
from core.problems.contract import Contract, Field, FieldType, Label
from core.settings import CODE_ROOT

ROWS = 1_000_000
NUMBERS = ("car_value", "debt_to_income_ratio", "loan_length", "driver_tenure")
CATEGORIES = ("salary_range", "repaid_loan_on_prev_car", "size_of_downpayment")
CONTRACT = Contract(
    fields=(
        *(Field(name, FieldType.NUMBER, name, 1.0, nullable=True) for name in NUMBERS),
        *(Field(name, FieldType.CATEGORY, name, "a", nullable=True) for name in CATEGORIES),
    ),
    label=Label("repaid", 1, 0, "repaid", "not repaid"),
)


def main() -> None:
    """Measures one check and prints a JSON document."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    reference = _bundled("reference")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "batch.parquet"
        pq.write_table(_drawn(_bundled("analysis"), rows), file)
        before_mb = _peak_mb()
        wall, cpu = time.perf_counter(), time.process_time()
        found = _check(reference, pq.read_table(file))
        measured = {
            "rows": rows,
            "columns": len(CONTRACT.fields),
            "seconds": round(time.perf_counter() - wall, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "peak_rss_mb": round(_peak_mb()),
            "peak_rss_mb_before": round(before_mb),
            "level": found.verdict.level.value,
            "summary": found.verdict.summary,
        }
    print(json.dumps(measured, indent=2))  # noqa: T201


def _check(reference: pa.Table, rows: pa.Table) -> Findings:
    return examine(
        "0" * 32,
        CONTRACT,
        reference,
        ArrivedTable(rows),
        0.5,
        History(),
        load_params(CODE_ROOT / "params.yaml").monitoring,
        build_detector,
        lambda percent, message: None,
    )


def _bundled(name: str) -> pa.Table:
    spec = find_spec("nannyml")
    if spec is None or spec.origin is None:
        raise SystemExit("nannyml is not installed")
    folder = Path(spec.origin).parent / "datasets" / "data"
    table = pa_csv.read_csv(folder / f"synthetic_car_loan_{name}.csv")
    columns: dict[str, Any] = {one: table.column(one).cast(pa.float64()) for one in NUMBERS}
    columns |= {one: table.column(one).cast(pa.string()) for one in CATEGORIES}
    columns["probability"] = table.column("y_pred_proba").cast(pa.float64())
    if "repaid" in table.column_names:
        columns["label"] = table.column("repaid").cast(pa.float64())
    return pa.table(columns)


def _drawn(table: pa.Table, rows: int) -> pa.Table:
    random = np.random.default_rng(7)
    drawn = table.take(pa.array(np.sort(random.integers(0, table.num_rows, rows))))
    for name in NUMBERS:
        values = drawn.column(name).to_numpy()
        noisy = values * random.normal(1.0, 0.001, rows)
        drawn = drawn.set_column(drawn.schema.get_field_index(name), name, pa.array(noisy))
    return drawn


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
