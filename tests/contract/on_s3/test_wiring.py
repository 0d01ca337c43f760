"""An installation with a store: its logs begin in the home and end in the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.bootstrap import connect_arrivals
from core.bootstrap_logs import connect_labels
from core.deployment.inference_log import inference_folder
from core.settings import Settings
from tests.s3 import S3Server
from tests.unit.core_fakes import PROBLEM
from tests.unit.test_core_inference_log import rows, write
from tests.unit.test_core_labels import given_labels


@pytest.mark.parametrize("with_store", [True, False])
def test_both_logs_end_where_the_settings_say(
    tmp_path: Path, s3: S3Server, *, with_store: bool
) -> None:
    store = s3.create_bucket(f"wiring-{with_store}".lower())
    settings = Settings(home=tmp_path, **(s3.settings(store) if with_store else {}))
    arrivals, labels = connect_arrivals(settings, {"plums": PROBLEM}), connect_labels(settings)
    write(inference_folder(tmp_path), rows([1, 2]))
    labels.append("plums", given_labels(("a", 1, 1.0)), by="ann")
    labels.close()
    assert (arrivals.log.compact(), labels.compact()) == (1, 1)
    assert arrivals.log.window("plums").num_rows == 2
    assert labels.labels("plums").num_rows == 1
    here = sorted(path.relative_to(tmp_path).parts[:3] for path in tmp_path.rglob("*.parquet"))
    there = sorted(tuple(key.split("/")[:3]) for key in s3.keys(store))
    both = [("inference", "plums", "daily"), ("labels", "plums", "daily")]
    assert (here, there) == (([], both) if with_store else (both, []))
