"""A batch that memory holds, counted on real Spark as well: the same verdict from both."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from core.adapters.nannyml import load_reference
from core.data.batch_pieces import PIECE_ROWS
from core.problems.titanic import PROBLEM
from tests.installation import Installation

ROWS = PIECE_ROWS + 50_000
#: Too few for a retrain, which would take the session that the check needs.
LABELS = 150
CHECKED_TIMEOUT_S = 300


def _write_batch(path: Path) -> None:
    """Passengers with dearer tickets, the first few with a label."""
    random = np.random.default_rng(5)
    source = load_reference(PROBLEM.source.name)
    contract = PROBLEM.contract
    inputs = [name for name in contract.names if name in source.column_names]
    texts = [one.name for one in contract.reduced]
    drawn = source.select([*inputs, *texts, contract.label.name]).take(
        pa.array(random.integers(0, source.num_rows, ROWS))
    )
    number = next(f.name for f in contract.fields if f.type.value == "number" and f.usual)
    for name, values in (
        (number, [None if v is None else v * 1.5 for v in drawn[number].to_pylist()]),
        (
            contract.label.name,
            [
                v if i < LABELS else None
                for i, v in enumerate(drawn[contract.label.name].to_pylist())
            ],
        ),
    ):
        place = drawn.schema.get_field_index(name)
        drawn = drawn.set_column(place, name, pa.array(values))
    pq.write_table(drawn, path)


def _checked_on_arrival(installation: Installation, batch_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + CHECKED_TIMEOUT_S
    while time.monotonic() < deadline:
        for check in installation.ask("checks", "list", "titanic"):
            if check["batch_id"] == batch_id and check["status"] == "finished":
                shown: dict[str, Any] = installation.ask("checks", "show", check["id"])
                return shown
        time.sleep(1)
    raise AssertionError(f"batch {batch_id} was not checked within {CHECKED_TIMEOUT_S} s")


def _counting_on_spark(installation: Installation, folder: Path) -> Installation:
    """The same installation, told that memory holds next to nothing."""
    params = yaml.safe_load(installation.settings.params_file.read_text(encoding="utf-8"))
    params["monitoring"]["in_memory_rows"] = 100
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(params), encoding="utf-8")
    environment = {**installation.environment, "PILOTHOUSE_PARAMS_FILE": str(file)}
    return replace(installation, environment=environment)


# The check that comes by itself, and Spark to be started: more than a minute.
@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_batch_counted_on_spark_gets_the_verdict_that_it_gets_in_memory(
    installation: Installation, tmp_path: Path
) -> None:
    file = tmp_path / "passengers.parquet"
    _write_batch(file)
    batch = installation.ask("batch", "add", "titanic", str(file))
    in_memory = _checked_on_arrival(installation, batch["id"])
    done = _counting_on_spark(installation, tmp_path).command(
        "drift", "titanic", "--batch", batch["id"], "--json"
    )
    assert done.returncode in (0, 42), done.stdout + done.stderr
    on_spark = json.loads(done.stdout)
    whole, pieces = in_memory["report"], on_spark["report"]
    assert whole["compared"]["analysis"]["rows"] == ROWS
    assert whole["labelled_rows"] == pieces["labelled_rows"] == LABELS
    log = installation.command("checks", "logs", on_spark["id"]).stdout
    assert "counting values on Spark, 0 of 2 pieces" in log
    assert "Spark" not in installation.command("checks", "logs", in_memory["id"]).stdout
    for part in ("verdict", "quality", "estimator"):
        assert pieces[part] == whole[part], part
    for ours, theirs in zip(
        [*pieces["features"], pieces["prediction"]],
        [*whole["features"], whole["prediction"]],
        strict=True,
    ):
        assert ours["column"] == theirs["column"]
        assert ours["level"] == theirs["level"]
        assert ours["psi"] == pytest.approx(theirs["psi"], abs=1e-9)
        assert ours["bins"] == theirs["bins"]
        assert ours["methods"] == theirs["methods"]
    assert pieces["performance"] == whole["performance"]
