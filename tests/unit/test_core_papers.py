"""Dossier and model card are filed with the run of a version, and filed anew once decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.domain import PromotionRequest
from core.errors import NotFoundError, UnavailableError
from core.promotion.papers import Papers
from tests.unit.core_fakes import World, make_world

NAMES = ("dossier.html", "dossier.pdf", "model-card.html", "model-card.pdf")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.close()


@pytest.fixture
def request_(world: World) -> PromotionRequest:
    for _ in range(2):
        world.pilothouse.promotions.consider(world.train(0.85))
    (found,) = world.pilothouse.promotions.requests(open_only=True)
    return found


def _filed(world: World, request: PromotionRequest, name: str, folder: Path) -> bytes:
    path = f"promotion/{request.id}/{name}"
    return world.tracker.fetch_file(request.run_id, path, folder).read_bytes()


def test_an_open_request_has_its_documents_and_a_decided_one_the_decision(
    world: World, request_: PromotionRequest, tmp_path: Path
) -> None:
    world.pilothouse.papers.file_new()
    for name in NAMES:
        assert _filed(world, request_, name, tmp_path)
    assert b"Nobody has decided yet." in _filed(world, request_, "dossier.html", tmp_path)
    world.pilothouse.promotions.approve(request_.id, reason="looked at every slice", actor="ann")
    world.pilothouse.papers.file_new()
    page = _filed(world, request_, "dossier.html", tmp_path).decode()
    assert "looked at every slice" in page
    assert "not in force: one local operator" in page
    assert "AUC: fail" in page


def test_the_registered_version_names_its_documents(
    world: World, request_: PromotionRequest
) -> None:
    world.pilothouse.papers.file_new()
    tags = world.registry.get(request_.problem, request_.version).tags
    folder = f"runs:/{request_.run_id}/promotion/{request_.id}"
    assert tags["dossier"] == f"{folder}/dossier.html"
    assert tags["model_card"] == f"{folder}/model-card.html"


def test_a_version_that_was_deleted_stops_nothing(
    world: World, request_: PromotionRequest, tmp_path: Path
) -> None:
    del world.registry.versions[request_.problem, request_.version]
    world.pilothouse.papers.file_new()
    assert _filed(world, request_, "dossier.html", tmp_path)


def test_a_worker_that_starts_anew_files_nothing_twice(
    world: World, request_: PromotionRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.pilothouse.papers.file_new()
    again = make_papers_like(world)
    monkeypatch.setattr(world.tracker, "log_files", _refuse)
    again.file_new()
    world.pilothouse.papers.file_new()


def test_what_cannot_be_filed_now_is_filed_later(
    world: World, request_: PromotionRequest, tmp_path: Path
) -> None:
    world.tracker.plug.pulled = True
    with pytest.raises(UnavailableError):
        world.pilothouse.papers.file_new()
    world.tracker.plug.pulled = False
    world.pilothouse.papers.file_new()
    assert _filed(world, request_, "dossier.pdf", tmp_path).startswith(b"%PDF")


def test_evidence_that_is_gone_stops_nothing(
    world: World,
    request_: PromotionRequest,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(_: PromotionRequest) -> None:
        raise NotFoundError("MLflow has no such file.")

    monkeypatch.setattr(world.pilothouse.evidence, "read", gone)
    world.pilothouse.papers.file_new()
    world.pilothouse.papers.file_new()
    assert caplog.text.count(f"no documents for request {request_.id}") == 1


def make_papers_like(world: World) -> Papers:
    pilothouse = world.pilothouse
    registry: Any = world.registry
    return Papers(
        pilothouse.problems,
        world.tracker,
        registry,
        pilothouse.evidence,
        pilothouse.promotions,
        pilothouse.rollouts,
    )


def _refuse(*_: object) -> None:
    raise AssertionError("filed once more")
