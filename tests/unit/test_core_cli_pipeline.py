"""`pilothouse pipeline`: judging what `dvc repro` has made, and registering it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from core import cli, cli_pipeline, cli_session
from core.bootstrap import Tracking
from core.data.tables import file_md5
from core.delivery.earlier import pipeline_workspace
from core.domain import RunStatus
from core.errors import ConflictError, NotFoundError
from core.promotion.audit import Action
from core.settings import CODE_ROOT
from core.training.fit import FitResult
from core.training.provenance import Provenance
from core.training.workspace import Workspace, write_json
from core.worker import beat
from tests.unit.core_fakes import BIAS, WEIGHTS, World, make_world, report_of
from tests.unit.tiny_models import tiny_model


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = make_world(tmp_path)
    monkeypatch.setattr(cli_session, "connect", lambda: made.pilothouse)
    monkeypatch.setattr(cli_pipeline, "CODE_ROOT", tmp_path)
    # The real ones start MLflow, ask DVC of the clone and read the machine.
    monkeypatch.setattr(cli_pipeline, "tracking_server", lambda _: nullcontext())
    monkeypatch.setattr(cli_pipeline, "outdated_stages", lambda *_: ())
    fakes = SimpleNamespace(tracker=made.tracker, registry=made.registry)
    monkeypatch.setattr(cli_pipeline, "connect_tracking", lambda _: _tracking(fakes))
    store = SimpleNamespace(try_to_keep=lambda problem, rows: f"training-data/{problem}")
    monkeypatch.setattr(cli_pipeline, "connect_training_data", lambda _: store)
    provenance = lambda _, file: Provenance("c" * 40, "d" * 64, {"java": "17"}, file)  # noqa: E731
    monkeypatch.setattr(cli_pipeline, "provenance_here", provenance)
    yield made
    made.close()


def _tracking(fakes: SimpleNamespace) -> Tracking:
    return Tracking(tracker=fakes.tracker, registry=fakes.registry)


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """What `dvc repro` leaves of plums, and parameters that know them."""
    found = pipeline_workspace(tmp_path, "plums")
    report, model = report_of(0.85), tiny_model(WEIGHTS, BIAS)
    fit = FitResult(
        **{name: getattr(report, name) for name in FitResult.model_fields if name != "onnx_sha256"},
        onnx_sha256=hashlib.sha256(model).hexdigest(),
    )
    write_json(found.report, report)
    write_json(found.fit, fit)
    write_json(found.validation, [{"column": "stones", "rule": "is unusual", "rows": 3}])
    found.onnx.write_bytes(model)
    found.figures.mkdir()
    for file in (found.raw, found.predictions, found.reference, found.columns):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"something")
    found.spark_model.mkdir()
    (found.figures / "roc.png").write_bytes(b"a picture")
    params = yaml.safe_load((CODE_ROOT / "params.yaml").read_text(encoding="utf-8"))
    params |= {"problems": ["plums"], "bootstrap": []}
    params["schedule"]["checks"], params["rollout"]["slo"] = {}, {}
    params["delivery"]["thresholds"] = {"plums": {"auc": 0.8}}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(params), encoding="utf-8")
    monkeypatch.setenv("PILOTHOUSE_PARAMS_FILE", str(file))
    return found


def _pipeline(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["pipeline", *arguments])


class TestReport:
    def test_it_is_printed(self, ws: Workspace, world: World) -> None:
        done = _pipeline("report")
        assert done.exit_code == 0, done.output
        assert "### ✅ plums" in done.stdout
        assert "- stones: is unusual, 3 rows" in done.stdout

    def test_it_is_written_with_its_figures(
        self, ws: Workspace, world: World, tmp_path: Path
    ) -> None:
        done = _pipeline("report", "plums", "--out", str(tmp_path / "out"))
        assert done.exit_code == 0, done.output
        assert "### ✅ plums" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
        assert (tmp_path / "out" / "plums-roc.png").read_bytes() == b"a picture"

    def test_below_a_threshold_it_is_written_and_says_so(
        self, ws: Workspace, world: World, tmp_path: Path
    ) -> None:
        write_json(ws.report, report_of(0.79))
        done = _pipeline("report", "--out", str(tmp_path / "out"))
        assert done.exit_code == 42
        assert "plums, AUC: AUC is 0.7900 on 20 rows" in done.stdout
        assert "### ❌ plums" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")

    def test_it_is_one_document_for_machines(self, ws: Workspace, world: World) -> None:
        write_json(ws.report, report_of(0.79))
        done = _pipeline("report", "--json")
        assert done.exit_code == 42
        (told,) = json.loads(done.stdout)
        assert (told["id"], told["passes"]) == ("plums", False)
        assert told["metrics"]["auc"]["value"] == 0.79
        assert [one["gate"] for one in told["verdicts"] if one["verdict"] == "fail"] == ["AUC"]

    def test_a_problem_that_is_not_there_is_named(self, ws: Workspace, world: World) -> None:
        done = _pipeline("report", "pears")
        assert isinstance(done.exception, NotFoundError)


class TestRegister:
    def test_the_version_is_that_of_a_finished_run(self, ws: Workspace, world: World) -> None:
        done = _pipeline("register", "plums")
        assert done.exit_code == 0, done.output
        (run,) = world.pilothouse.runs.list()
        assert done.stdout == f"Run {run.id} registered version 1 of plums.\n"
        assert (run.status, run.model_version) == (RunStatus.FINISHED, 1)
        tracked = world.tracker.get(run.id)
        assert tracked.status is RunStatus.FINISHED
        assert tracked.metrics["auc"] == 0.85
        assert tracked.tags["data_version"] == f"md5:{file_md5(ws.raw)}"
        assert tracked.tags["data_file"] == "training-data/plums"
        assert tracked.tags["git_commit"] == "c" * 40
        assert world.registry.get("plums", 1).tags["run_id"] == run.id
        (row,) = world.pilothouse.audit.list(None)
        assert (row.entry.action, row.entry.object) == (Action.RUN_STARTED, f"run {run.id}")
        assert "pipeline of the repository, v1" in row.entry.detail

    def test_the_worker_lets_the_first_one_serve(self, ws: Workspace, world: World) -> None:
        _pipeline("register")
        beat(world.pilothouse, set())
        serving = world.pilothouse.promotions.production("plums")
        assert serving is not None
        assert (serving.version, serving.rule) == (1, "bootstrap")

    def test_the_next_one_is_judged_beside_it(self, ws: Workspace, world: World) -> None:
        world.put_into_production()
        _pipeline("register")
        (waiting,) = world.pilothouse.database.unconsidered_runs()
        assert (waiting.problem, waiting.model_version) == ("plums", 2)

    def test_a_pipeline_that_is_behind_registers_nothing(
        self, ws: Workspace, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[tuple[Path, str]] = []

        def outdated(root: Path, target: str) -> tuple[str, ...]:
            asked.append((root, target))
            return ("train@plums",)

        monkeypatch.setattr(cli_pipeline, "outdated_stages", outdated)
        done = _pipeline("register", "plums")
        assert isinstance(done.exception, ConflictError)
        assert "train@plums" in done.exception.message
        assert asked == [(ws.root.parents[1], "evaluate@plums")]
        assert world.tracker.runs == {}

    def test_a_model_that_was_exchanged_is_refused(self, ws: Workspace, world: World) -> None:
        ws.onnx.write_bytes(b"another model")
        done = _pipeline("register", "plums")
        assert isinstance(done.exception, ConflictError)
        assert world.tracker.runs == {}

    def test_without_a_model_it_says_what_to_run(self, ws: Workspace, world: World) -> None:
        ws.onnx.unlink()
        done = _pipeline("register", "plums")
        assert isinstance(done.exception, NotFoundError)
        assert done.exception.fix == "Run `dvc repro evaluate@plums`."

    def test_where_mlflow_goes_away_the_run_is_not_ours(self, ws: Workspace, world: World) -> None:
        world.registry.plug.pulled = True
        done = _pipeline("register", "plums")
        assert done.exit_code == 1
        assert world.pilothouse.runs.list() == ()
        (tracked,) = world.tracker.runs.values()
        assert tracked.status is RunStatus.FAILED
