"""What the real predictor answers and the real recorder logs, scored again from the log."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters.database_rollouts import RolloutRecords
from core.data.segments import SegmentLimits, SegmentWriter
from core.deployment.inference_log import InferenceLog, segments_folder
from core.deployment.replay import Replay
from core.deployment.tracing import TracingService, build_scorer
from core.domain import ModelVersion
from core.problems.contract import Field, FieldType
from serve.predictor import LoadedModel
from serve.recorder import Answered, rows_of
from serve.store import ModelStore
from tests.serving_support import TITANIC, artifact_server, user_config, write_tiny_bundle
from tests.unit.core_fakes import World, make_world

LIMITS = SegmentLimits(1 << 20, 1e9)


@dataclass(frozen=True)
class Served:
    """A version that answers, a log of its last answer, and what traces in it."""

    model: LoadedModel
    folder: Path
    tracing: TracingService

    def answer(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        kept: list[Answered] = []
        body = msgspec.json.encode({"records": records})
        told = msgspec.json.decode(self.model.answer(body, kept.append))
        shutil.rmtree(self.folder, ignore_errors=True)
        writer = SegmentWriter(segments_folder(self.folder, "titanic"), told["request_id"], LIMITS)
        writer.append(rows_of(kept))
        writer.close()
        return dict(told)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("replay")
    world = make_world(folder)
    version = register(world, folder / "registry" / "titanic" / "3")
    log = folder / "inference"
    with artifact_server(folder / "registry") as url:
        world.registry.url = url
        store = ModelStore()
        ref = world.registry.refer("titanic", 3, version.source)
        store.apply(user_config(folder / "cache", titanic=ref))
        yield Served(store.snapshot.model("titanic"), log, tracing_in(world, log, folder / "mine"))
    world.close()


def register(world: World, files: Path) -> ModelVersion:
    write_tiny_bundle(files)
    run_id = world.tracker.create("titanic", "a run", {})
    made = datetime.now(UTC)
    version = ModelVersion("titanic", 3, run_id, made, "lr", "titanic/3", {}, {})
    world.registry.versions["titanic", 3] = version
    return version


def tracing_in(world: World, log: Path, cache: Path) -> TracingService:
    core = world.pilothouse
    ports: Any = world
    return TracingService(
        {"titanic": TITANIC},
        InferenceLog(log, {"titanic": TITANIC.contract}),
        core.params.serving.inference_log,
        core.database,
        ports.tracker,
        ports.registry,
        core.promotions,
        RolloutRecords(core.database),
        build_scorer,
        cache,
    )


def values(field: Field) -> st.SearchStrategy[Any]:
    if field.type is FieldType.CATEGORY:
        texts = st.text(st.characters(codec="utf-8"), max_size=12)
        given = st.sampled_from(field.categories) | texts if field.categories else texts
    elif field.type is FieldType.INTEGER:
        given = st.integers(int(field.minimum or 0), int(field.maximum or 10**6))
    else:
        given = st.floats(field.minimum, field.maximum, allow_nan=False, allow_infinity=False)
    return given | st.none() if field.nullable else given


RECORDS = st.fixed_dictionaries({f.name: values(f) for f in TITANIC.contract.fields})


@settings(deadline=None, max_examples=60)
@given(st.lists(RECORDS, min_size=1, max_size=20))
def test_a_replay_gives_what_was_answered_to_the_bit(
    served: Served, records: list[dict[str, Any]]
) -> None:
    told = served.answer(records)
    lineage = served.tracing.trace(told["request_id"], replay=True)
    replay = lineage.replay
    assert isinstance(replay, Replay), replay
    assert (replay.same, replay.greatest_difference) == (True, 0.0)
    answered = [(one["label"], one["probability"]) for one in told["predictions"]]
    assert [(row.logged_label, row.logged) for row in replay.rows] == answered
    assert [(row.replayed_label, row.replayed) for row in replay.rows] == answered
    assert lineage.answer.version == told["model_version"] == 3


def test_another_model_under_the_same_number_is_found_out(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = served.answer([{field.name: field.example for field in TITANIC.contract.fields}])
    write_tiny_bundle(tmp_path / "titanic" / "3", bias=1e-4)
    with artifact_server(tmp_path) as url:
        monkeypatch.setattr(served.tracing._registry, "url", url)
        replay = served.tracing.trace(told["request_id"], replay=True).replay
    assert isinstance(replay, Replay)
    assert not replay.same
    assert 1e-6 < replay.greatest_difference < 1e-4
