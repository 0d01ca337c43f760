"""A model bundle: written, read, fetched over HTTP once, never half."""

from __future__ import annotations

import hashlib
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.errors import NotFoundError, TrainingError, UnavailableError
from core.scoring.bundle import (
    FACTS_FILE,
    FETCHED_KEPT,
    MODEL_FILE,
    Bundle,
    BundleRef,
    cached_bundle,
    obtain_bundle,
    read_bundle,
    write_bundle,
)
from tests.serving_support import artifact_server
from tests.unit.core_fakes import facts_of

MODEL = b"weights"
FACTS = facts_of("run", model_sha256=hashlib.sha256(MODEL).hexdigest())


PAGE = (FACTS.model_dump_json(indent=2) + "\n").encode()
BUNDLE = Bundle(MODEL, PAGE, FACTS)


def _ref(url: str, sha256: str = "") -> BundleRef:
    return BundleRef(problem="plums", version=4, url=url, sha256=sha256)


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
    assert read_bundle(tmp_path / "new" / "folder") == BUNDLE
    assert read_bundle(tmp_path / "new" / "folder").sha256 == hashlib.sha256(PAGE).hexdigest()


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
        ref = _ref(f"{url}/4")
        assert obtain_bundle(ref, tmp_path / "cache") == BUNDLE
        shutil.rmtree(tmp_path / "store" / "4")
        assert obtain_bundle(ref, tmp_path / "cache") == BUNDLE
    assert obtain_bundle(ref, tmp_path / "cache") == BUNDLE
    place = cached_bundle(ref, tmp_path / "cache")
    assert list((tmp_path / "cache" / "plums").iterdir()) == [place]


def test_the_same_version_of_another_store_is_another_bundle(tmp_path: Path) -> None:
    write_bundle(tmp_path / "store" / "4", MODEL, FACTS)
    other = FACTS.model_copy(update={"run_id": "other"})
    write_bundle(tmp_path / "store" / "5", MODEL, other)
    with artifact_server(tmp_path / "store") as url:
        found = [obtain_bundle(_ref(f"{url}/{n}"), tmp_path / "cache") for n in (4, 5)]
    assert [bundle.facts.run_id for bundle in found] == ["run", "other"]


def test_a_tampered_bundle_never_reaches_the_cache(tmp_path: Path) -> None:
    write_bundle(tmp_path / "store", MODEL, FACTS)
    (tmp_path / "store" / MODEL_FILE).write_bytes(b"other weights")
    with artifact_server(tmp_path / "store") as url, pytest.raises(TrainingError):
        obtain_bundle(_ref(url), tmp_path / "cache")
    assert list((tmp_path / "cache" / "plums").iterdir()) == []


def test_a_bundle_the_store_does_not_have_is_not_found(tmp_path: Path) -> None:
    with artifact_server(tmp_path) as url, pytest.raises(NotFoundError):
        obtain_bundle(_ref(f"{url}/4"), tmp_path / "cache")


def test_half_a_bundle_in_the_store_leaves_nothing(tmp_path: Path) -> None:
    write_bundle(tmp_path / "store", MODEL, FACTS)
    (tmp_path / "store" / FACTS_FILE).unlink()
    with artifact_server(tmp_path / "store") as url, pytest.raises(NotFoundError):
        obtain_bundle(_ref(url), tmp_path / "cache")
    assert list((tmp_path / "cache" / "plums").iterdir()) == []


@pytest.mark.parametrize("status", [500, 503])
def test_a_store_in_trouble_is_unavailable(tmp_path: Path, status: int) -> None:
    with failing_server(status) as url, pytest.raises(UnavailableError):
        obtain_bundle(_ref(url), tmp_path / "cache")


def test_a_store_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    with artifact_server(tmp_path) as url:
        pass
    with pytest.raises(UnavailableError):
        obtain_bundle(_ref(url), tmp_path / "cache")


@pytest.mark.parametrize("name", [MODEL_FILE, FACTS_FILE])
def test_a_damaged_copy_is_fetched_again(tmp_path: Path, name: str) -> None:
    write_bundle(tmp_path / "store", MODEL, FACTS)
    with artifact_server(tmp_path / "store") as url:
        ref = _ref(url)
        obtain_bundle(ref, tmp_path / "cache")
        place = cached_bundle(ref, tmp_path / "cache")
        (place / name).write_bytes(b"")
        assert obtain_bundle(ref, tmp_path / "cache") == BUNDLE
    assert read_bundle(place) == BUNDLE
    assert list(place.parent.iterdir()) == [place]


def test_a_damaged_copy_stays_while_the_store_is_gone(tmp_path: Path) -> None:
    write_bundle(tmp_path / "store", MODEL, FACTS)
    with artifact_server(tmp_path / "store") as url:
        obtain_bundle(_ref(url), tmp_path / "cache")
    place = cached_bundle(_ref(url), tmp_path / "cache")
    (place / MODEL_FILE).write_bytes(b"other weights")
    with pytest.raises(UnavailableError):
        obtain_bundle(_ref(url), tmp_path / "cache")
    assert (place / FACTS_FILE).exists()


def test_nothing_but_what_was_decided_on_is_taken(tmp_path: Path) -> None:
    """A registry without a login must not be able to put a model behind an approval."""
    other = b"another model"
    write_bundle(tmp_path / "store", MODEL, FACTS)
    with artifact_server(tmp_path / "store") as url:
        ref = _ref(url, BUNDLE.sha256)
        assert obtain_bundle(ref, tmp_path / "a") == BUNDLE
        # A whole bundle, as consistent as the first.
        swapped = FACTS.model_copy(update={"model_sha256": hashlib.sha256(other).hexdigest()})
        write_bundle(tmp_path / "store", other, swapped)
        with pytest.raises(TrainingError, match="not the ones that were decided on"):
            obtain_bundle(ref, tmp_path / "b")
        assert list((tmp_path / "b" / "plums").iterdir()) == []
        # Nor by way of the cache, which others fill as well.
        assert obtain_bundle(_ref(url), tmp_path / "c").model == other
        with pytest.raises(TrainingError, match="not the ones that were decided on"):
            obtain_bundle(ref, tmp_path / "c")
        # A threshold is part of what was decided on.
        write_bundle(tmp_path / "store", MODEL, FACTS.model_copy(update={"threshold": 0.1}))
        with pytest.raises(TrainingError, match="not the ones that were decided on"):
            obtain_bundle(ref, tmp_path / "b")
        write_bundle(tmp_path / "store", MODEL, FACTS)
        assert obtain_bundle(ref, tmp_path / "c") == BUNDLE


def test_versions_that_nobody_has_read_longest_go(tmp_path: Path) -> None:
    count = FETCHED_KEPT + 3
    for number in range(count):
        write_bundle(tmp_path / "store" / str(number), MODEL, FACTS)
    left = tmp_path / "cache" / "plums" / ".fetch-dead"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    with artifact_server(tmp_path / "store") as url:
        refs = [_ref(f"{url}/{number}") for number in range(count)]
        for number, ref in enumerate(refs):
            place = cached_bundle(ref, tmp_path / "cache")
            obtain_bundle(ref, tmp_path / "cache")
            os.utime(place, (number, number))
            # The first is read again and again.
            obtain_bundle(refs[0], tmp_path / "cache")
    kept = {*refs[-FETCHED_KEPT + 1 :], refs[0]}
    assert set(left.parent.iterdir()) == {cached_bundle(ref, tmp_path / "cache") for ref in kept}
