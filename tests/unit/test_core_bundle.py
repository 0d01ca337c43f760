"""A model bundle: written, read, fetched over HTTP once, never half."""

from __future__ import annotations

import hashlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.errors import NotFoundError, TrainingError, UnavailableError
from core.scoring.bundle import (
    FACTS_FILE,
    MODEL_FILE,
    BundleRef,
    fetch_bundle,
    read_bundle,
    write_bundle,
)
from tests.serving_support import artifact_server
from tests.unit.core_fakes import facts_of

MODEL = b"weights"
FACTS = facts_of("run", model_sha256=hashlib.sha256(MODEL).hexdigest())


def _ref(url: str) -> BundleRef:
    return BundleRef(problem="plums", version=4, url=url)


@contextmanager
def failing_server(status: int) -> Iterator[str]:
    """Answers every request with ``status``."""

    class Failing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Failing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_bundle(tmp_path / "new" / "folder", MODEL, FACTS)
    assert read_bundle(tmp_path / "new" / "folder") == (MODEL, FACTS)


@pytest.mark.parametrize("missing", [MODEL_FILE, FACTS_FILE])
def test_a_bundle_that_is_not_whole_is_not_found(tmp_path: Path, missing: str) -> None:
    write_bundle(tmp_path, MODEL, FACTS)
    (tmp_path / missing).unlink()
    with pytest.raises(NotFoundError):
        read_bundle(tmp_path)


def test_another_model_than_the_registered_one_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path, MODEL, FACTS)
    (tmp_path / MODEL_FILE).write_bytes(b"other weights")
    with pytest.raises(TrainingError, match="differs"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", '{"problem": "plums", "extra": 1}'])
def test_facts_that_cannot_be_read_are_refused(tmp_path: Path, text: str) -> None:
    write_bundle(tmp_path, MODEL, FACTS)
    (tmp_path / FACTS_FILE).write_text(text)
    with pytest.raises(TrainingError, match="facts"):
        read_bundle(tmp_path)


def test_a_bundle_is_fetched_once(tmp_path: Path) -> None:
    write_bundle(tmp_path / "store" / "4", MODEL, FACTS)
    with artifact_server(tmp_path / "store") as url:
        first = fetch_bundle(_ref(f"{url}/4"), tmp_path / "cache")
        assert read_bundle(first) == (MODEL, FACTS)
        shutil.rmtree(tmp_path / "store" / "4")
        assert fetch_bundle(_ref(f"{url}/4"), tmp_path / "cache") == first
    assert fetch_bundle(_ref(f"{url}/4"), tmp_path / "cache") == first
    assert [path.name for path in (tmp_path / "cache" / "plums").iterdir()] == [first.name]


def test_the_same_version_of_another_store_is_another_bundle(tmp_path: Path) -> None:
    write_bundle(tmp_path / "store" / "4", MODEL, FACTS)
    other = FACTS.model_copy(update={"run_id": "other"})
    write_bundle(tmp_path / "store" / "5", MODEL, other)
    with artifact_server(tmp_path / "store") as url:
        folders = [fetch_bundle(_ref(f"{url}/{n}"), tmp_path / "cache") for n in (4, 5)]
    assert [read_bundle(folder)[1].run_id for folder in folders] == ["run", "other"]


def test_a_tampered_bundle_never_reaches_the_cache(tmp_path: Path) -> None:
    write_bundle(tmp_path / "store", MODEL, FACTS)
    (tmp_path / "store" / MODEL_FILE).write_bytes(b"other weights")
    with artifact_server(tmp_path / "store") as url, pytest.raises(TrainingError):
        fetch_bundle(_ref(url), tmp_path / "cache")
    assert list((tmp_path / "cache" / "plums").iterdir()) == []


def test_a_bundle_the_store_does_not_have_is_not_found(tmp_path: Path) -> None:
    with artifact_server(tmp_path) as url, pytest.raises(NotFoundError):
        fetch_bundle(_ref(f"{url}/4"), tmp_path / "cache")


def test_half_a_bundle_in_the_store_leaves_nothing(tmp_path: Path) -> None:
    write_bundle(tmp_path / "store", MODEL, FACTS)
    (tmp_path / "store" / FACTS_FILE).unlink()
    with artifact_server(tmp_path / "store") as url, pytest.raises(NotFoundError):
        fetch_bundle(_ref(url), tmp_path / "cache")
    assert list((tmp_path / "cache" / "plums").iterdir()) == []


@pytest.mark.parametrize("status", [500, 503])
def test_a_store_in_trouble_is_unavailable(tmp_path: Path, status: int) -> None:
    with failing_server(status) as url, pytest.raises(UnavailableError):
        fetch_bundle(_ref(url), tmp_path / "cache")


def test_a_store_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    with artifact_server(tmp_path) as url:
        pass
    with pytest.raises(UnavailableError):
        fetch_bundle(_ref(url), tmp_path / "cache")
