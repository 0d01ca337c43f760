"""MLflow with its artifacts in an S3 store: clients go through the server and need no key."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.adapters.mlflow import RunTracker, connected_client
from core.errors import NotFoundError
from tests.contract.conftest import StoredMlflow
from tests.s3 import S3Server

pytestmark = pytest.mark.timeout(180)


def test_artifacts_lie_in_the_bucket_and_pass_through_the_server(
    mlflow_on_s3: StoredMlflow, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in mlflow_on_s3.store.variables():
        monkeypatch.delenv(name, raising=False)
    tracker = RunTracker(connected_client(mlflow_on_s3.url))
    given = {"report.json": b"{}", "figures/roc.svg": b"<svg/>", "model.onnx": b"m" * 12_000_000}
    folder = tmp_path / "given"
    for name, content in given.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    run_id = tracker.create("plums", "one", {}, kind="run")
    tracker.log_files(run_id, folder, "report")
    kept = s3.keys(mlflow_on_s3.store)
    assert all(key.startswith("artifacts/") for key in kept)
    assert {key.partition("/report/")[2] for key in kept} == {*given}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for name, content in given.items():
        fetched = tracker.fetch_file(run_id, f"report/{name}", scratch)
        assert fetched.read_bytes() == content
    with pytest.raises(NotFoundError):
        tracker.fetch_file(run_id, "report/none.json", scratch)
    # By default it sends clients to the store, by addresses that it signs.
    assert "presigned" not in mlflow_on_s3.log.read_text()
