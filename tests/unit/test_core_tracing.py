"""An answer traced on fakes and real segments, with links that are gone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import Result
from typer.testing import CliRunner

from core import bootstrap, cli, cli_session, cli_trace
from core.adapters.database_tables import PROMOTIONS
from core.data.segments import SegmentLimits, SegmentWriter
from core.deployment.inference_log import inference_folder, schema_of, segments_folder
from core.deployment.lineage import PAGE_ROWS, Lineage, Missing
from core.deployment.lineage_words import chain
from core.deployment.replay import Probabilities, Replay
from core.deployment.request_ids import new_request_id
from core.domain import Run
from core.errors import InvalidInputError, NotFoundError
from core.problems.contract import Columns, Problem
from core.scoring.bundle import write_bundle
from tests.serving_support import artifact_server
from tests.unit.core_fakes import PROBLEM, World, facts_of, make_world

MODEL = b"weights"


class FakeScorer:
    """Heavier plums are sweeter; one of unknown stones as if it had two."""

    def __init__(self, problem: Problem, model: bytes) -> None:
        assert (problem, model) == (PROBLEM, MODEL)

    def probabilities(self, columns: Columns) -> Probabilities:
        weight = np.asarray(columns["weight"], dtype=np.float64)
        stones = np.nan_to_num(np.asarray(columns["stones"], dtype=np.float64), nan=2.0)
        blue = columns["colour"] == "blue"
        return np.clip(weight / 100 - stones / 10 + blue * 0.05, 0.0, 1.0)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(bootstrap, "build_scorer", FakeScorer)
    made = make_world(tmp_path)
    monkeypatch.setattr(cli_session, "connect", lambda: made.pilothouse)
    made.registry.folder.mkdir()
    with artifact_server(made.registry.folder) as url:
        made.registry.url = url
        yield made
    made.close()


@pytest.fixture
def run(world: World) -> Run:
    """A run whose version serves, with the files and tags that a real one has."""
    run = world.train()
    sha256 = hashlib.sha256(MODEL).hexdigest()
    folder = world.registry.folder / "plums" / str(run.model_version)
    write_bundle(folder, MODEL, facts_of(run.id, model_sha256=sha256))
    world.pilothouse.promotions.consider(run)
    world.tracker.log(run.id, {"family": "gbt", "model.maxDepth": 3}, {})
    origin = {"data_version": "md5:abc", "git_commit": "c0ffee", "code_digest": "d" * 64}
    kept = {"data_file": "training-data/plums/abc.parquet"}
    world.tracker.tag(run.id, {**origin, **kept, "family": "gbt"})
    return run


def answer(world: World, records: int = 2, *, off: float = 0.0, version: int = 1) -> str:
    """Logs an answer as a replica does; ``off`` falsifies its last probability."""
    at = datetime.now(UTC)
    request_id = new_request_id(
        (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    )
    given = {
        "weight": [30.0 + index % 50 for index in range(records)],
        "stones": [None if index % 3 else 1.0 for index in range(records)],
        "colour": ["blue" if index % 2 else None for index in range(records)],
    }
    arrays = {
        "weight": np.array(given["weight"]),
        "stones": np.array([np.nan if one is None else one for one in given["stones"]]),
        "colour": np.array(given["colour"], dtype=object),
    }
    probability = FakeScorer(PROBLEM, MODEL).probabilities(arrays)
    probability[-1] += off
    table = {
        "request_id": [request_id] * records,
        "row_id": list(range(records)),
        "at": [at] * records,
        "version": [version] * records,
        **given,
        "probability": probability.tolist(),
    }
    folder = segments_folder(inference_folder(world.pilothouse.settings.home), "plums")
    writer = SegmentWriter(folder, request_id, SegmentLimits(1 << 20, 1e9))
    writer.append(pa.record_batch(table, schema=schema_of(PROBLEM.contract)))
    writer.close()
    return request_id


def traced(world: World, request_id: str, **asked: object) -> Lineage:
    return world.pilothouse.tracing.trace(request_id, **asked)


def gaps(lineage: Lineage) -> dict[str, tuple[str, ...]]:
    return {link.title: link.gaps for link in chain(lineage) if link.gaps}


def test_an_answer_leads_back_to_its_causes(world: World, run: Run) -> None:
    request_id = answer(world)
    found = traced(world, request_id, replay=True)
    assert (found.id, found.problem, found.answer.version) == (request_id, "plums", 1)
    assert found.answer.records == 2
    assert [row.features for row in found.answer.rows] == [
        {"weight": 30.0, "stones": 1.0, "colour": None},
        {"weight": 31.0, "stones": None, "colour": "blue"},
    ]
    assert found.version == world.registry.get("plums", 1)
    assert (found.run.id, found.run.started_by, found.run.profile) == (run.id, "ann", run.profile)
    assert found.run.params == {"family": "gbt", "model.maxDepth": "3"}
    assert (found.data.data_version, found.data.batches) == ("md5:abc", ())
    said = "Rows as DVC knows them: md5:abc, training-data/plums/abc.parquet."
    assert said in next(one.lines for one in chain(found) if one.title == "Training data")
    without = replace(found, data=replace(found.data, data_file=""))
    said = "Rows: md5:abc; DVC was given no copy of them."
    assert said in next(one.lines for one in chain(without) if one.title == "Training data")
    assert (found.code.git_commit, found.code.digest) == ("c0ffee", "d" * 64)
    assert (found.promotion.rule, found.promotion.decided_by) == ("bootstrap", "ann")
    assert found.promotion_remark == ""
    assert found.replay.same
    assert found.replay.greatest_difference == 0.0
    assert gaps(found) == {}
    said = "\n".join(line for link in chain(found) for line in link.lines)
    for fact in ("plums v1 answered 2 records", run.id, "model.maxDepth = 3", "md5:abc", "c0ffee"):
        assert fact in said
    assert "A promotion by the rule 'bootstrap' needs no request." in said
    assert "Without a request there is no evidence." in said


def test_batches_that_a_retrain_learned_from_are_named(world: World, run: Run) -> None:
    world.add_batch("b1")
    world.tracker.tag(run.id, {"batches": "b1, b2"})
    assert "has no file data/batches.json" in traced(world, answer(world)).data.batches.missing
    file = world.registry.folder / "batches.json"
    file.write_text(json.dumps([{"id": "b1", "rows": 80}, {"id": "b2", "rows": 7}]))
    world.tracker.log_files(run.id, file, "data")
    found = traced(world, answer(world))
    first, second = found.data.batches
    assert (first.id, first.rows, first.batch.sha256) == ("b1", 80, "b1")
    assert (second.id, second.rows) == ("b2", 7)
    assert second.batch.missing.startswith("There is no batch 'b2'.")
    said = chain(found)[3]
    assert "Batch b1, 80 rows of it: a.csv, md5:b1" in said.lines[2]
    assert "There is no batch 'b2'" in said.lines[3]


def test_a_deleted_version_is_said_and_its_run_is_found_by_the_record(
    world: World, run: Run
) -> None:
    request_id = answer(world)
    del world.registry.versions["plums", 1]
    found = traced(world, request_id, replay=True)
    assert found.version == Missing("MLflow has no version 1 of plums.")
    assert found.replay == found.version
    assert found.run.id == run.id
    assert found.code.git_commit == "c0ffee"


def test_a_deleted_run_is_remembered_by_the_database(world: World, run: Run) -> None:
    request_id = answer(world)
    world.tracker.forget(run.id)
    found = traced(world, request_id)
    assert (found.run.started_by, found.run.params) == ("ann", {})
    assert "Family and parameters are missing. MLflow has no run" in found.run.remark
    assert "MLflow has no run" in found.data.batches.missing
    assert isinstance(found.data.data_version, Missing)
    assert set(gaps(found)) == {"Model version", "Run", "Training data", "Code"}


def test_a_version_that_the_record_never_named(world: World, run: Run) -> None:
    found = traced(world, answer(world, version=5))
    assert "never named v5" in found.promotion.missing
    assert found.run == found.version == Missing("MLflow has no version 5 of plums.")
    assert "record had named v1" in found.promotion_remark


def test_mlflow_that_is_down_leaves_what_is_known_here(world: World, run: Run) -> None:
    request_id = answer(world)
    world.registry.plug.pulled = world.tracker.plug.pulled = True
    found = traced(world, request_id, replay=True)
    assert found.version == found.replay == Missing("MLflow does not answer.")
    assert found.run.profile == run.profile
    assert found.promotion.rule == "bootstrap"


def test_a_model_trained_under_another_contract_is_not_replayed(world: World, run: Run) -> None:
    folder = world.registry.folder / "plums" / "1"
    sha256 = hashlib.sha256(MODEL).hexdigest()
    facts = facts_of(run.id, model_sha256=sha256, contract_fingerprint="0" * 64)
    write_bundle(folder, MODEL, facts)
    found = traced(world, answer(world), replay=True)
    assert "not the ones that were decided on" in found.replay.missing
    # As in the record of a release that did not keep what the files were.
    with world.pilothouse.database.begin() as connection:
        connection.execute(PROMOTIONS.update().values(bundle_sha256=""))
    found = traced(world, answer(world), replay=True)
    assert "trained under another contract" in found.replay.missing


def test_a_replay_is_of_the_registered_bytes(world: World, run: Run) -> None:
    (world.registry.folder / "plums" / "1" / "model.onnx").write_bytes(b"other weights")
    found = traced(world, answer(world), replay=True)
    assert "differs from the one that was registered" in found.replay.missing


def test_long_requests_come_in_pages_and_are_replayed_whole(world: World, run: Run) -> None:
    request_id = answer(world, 250, off=0.01)
    first = traced(world, request_id, replay=True)
    assert (first.answer.records, len(first.answer.rows)) == (250, PAGE_ROWS)
    assert isinstance(first.replay, Replay)
    assert (first.replay.same, first.replay.greatest_at) == (False, 249)
    assert len(first.replay.rows) == PAGE_ROWS
    last = traced(world, request_id, skip=200, replay=True)
    assert [row.index for row in last.answer.rows] == list(range(200, 250))
    assert [row.index for row in last.replay.rows] == list(range(200, 250))
    assert traced(world, request_id, skip=250).answer.rows == ()


def test_what_is_not_there_or_no_id_is_refused(world: World) -> None:
    with pytest.raises(NotFoundError, match="ask again in a moment"):
        traced(world, new_request_id(int(datetime.now(UTC).timestamp() * 1e6)))
    with pytest.raises(InvalidInputError):
        traced(world, "latest")


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["trace", *arguments])


def test_the_command_exits_with_what_a_script_needs(world: World, run: Run) -> None:
    good, bad = answer(world), answer(world, off=0.01)
    assert _invoke(good).exit_code == 0
    assert _invoke(bad).exit_code == 0
    assert _invoke(good, "--replay").exit_code == 0
    assert _invoke(bad, "--replay").exit_code == cli_trace.NOT_THE_SAME
    unknown = _invoke(new_request_id(0))
    assert unknown.exit_code == 1
    assert isinstance(unknown.exception, NotFoundError)
    del world.registry.versions["plums", 1]
    assert _invoke(good, "--replay").exit_code == 1
    assert _invoke(good).exit_code == 0


def test_the_command_speaks_to_machines_and_people(world: World, run: Run) -> None:
    request_id = answer(world)
    told = json.loads(_invoke(request_id, "--replay", "--json").stdout)
    assert (told["id"], told["problem"], told["answer"]["version"]) == (request_id, "plums", 1)
    assert told["run"]["id"] == run.id
    assert told["request"] == {
        "missing": "A promotion by the rule 'bootstrap' needs no request.",
        "is_expected": True,
    }
    assert told["replay"]["same"] is True
    assert told["replay"]["rows"][1]["difference"] == 0.0
    assert json.loads(_invoke(request_id, "--json").stdout)["replay"] is None
    text = _invoke(request_id, "--replay").stdout
    for fact in ("Model version", "decided by ann", "needs no request", "Records 0 to 1, 2 in all"):
        assert fact in text
    assert " 30 " in text
    assert "30.0" not in text
    assert "The same: 2 records, greatest difference 0.0e+00" in text
    assert "Records from 5 on, 2 in all: none" in _invoke(request_id, "--skip", "5").stdout
