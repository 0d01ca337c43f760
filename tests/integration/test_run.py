"""A run on real Ray, RayDP, MLflow and Serve: started, watched, repeated, broken, cancelled."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow.parquet as pq
import pytest

from core.data.tables import file_md5
from core.services.layout import TAG, layout_of
from core.settings import CODE_ROOT
from core.training.report import EvaluationReport
from core.training.usage import Usage
from tests.installation import Installation

PASSENGER = {
    "Pclass": 3,
    "Sex": "male",
    "Age": 22,
    "SibSp": 1,
    "Parch": 0,
    "Fare": 7.25,
    "Embarked": "S",
}
QUICK_LR = ("--set", "search.families=[lr]", "--set", "search.trials=1")
LOGGED_S = 60.0
DATA_FILES = (
    "raw.parquet",
    "validated.parquet",
    "prepared/train/part-00000.parquet",
    "prepared/holdout/part-00000.parquet",
    "prepared/columns.json",
    "model/model.onnx",
    "model/reference.parquet",
)


def _java_processes(installation: Installation) -> list[psutil.Process]:
    """Every JVM of the installation."""
    mark = layout_of(installation.settings.home).installation
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == "java" and process.environ().get(TAG) == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found


def _wait_until(condition: Any, timeout_s: float, what: str) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"{what} did not happen within {timeout_s:g} s")


def _bootstrap_run(installation: Installation) -> dict[str, Any]:
    return installation.ask("runs", "list", "--problem", "titanic", "--limit", "100")[-1]


def test_what_a_run_cost_is_kept_over_time_and_by_stage(installation: Installation) -> None:
    folder = installation.settings.home / "runs" / _bootstrap_run(installation)["id"]
    text = (folder / "workspace" / "usage.json").read_text(encoding="utf-8")
    usage = Usage.model_validate_json(text)
    assert [phase.name for phase in usage.phases] == ["preprocess", "train"]
    assert usage.phases[-1].end_s <= usage.wall_s
    assert max(point.driver_rss_mb for point in usage.points) > 150
    assert max(point.executor_rss_mb for point in usage.points) > 150
    assert max(point.executor_cores for point in usage.points) > 0.1
    assert usage.stages > 50
    assert any("trial" in stage.description for stage in usage.slowest)
    assert usage.slowest[0].seconds <= usage.wall_s
    assert usage.task_s >= max(stage.task_s for stage in usage.slowest) > 0
    log = (folder / "run.log").read_text(encoding="utf-8")
    (percent,) = re.findall(r"measuring took ([\d.]+) % of a core", log)
    assert float(percent) < 1


def test_the_first_model_serves_by_the_rule_bootstrap(installation: Installation) -> None:
    (first,) = installation.ask("promote", "history", "titanic")[-1:]
    assert first["rule"] == "bootstrap"
    answer = httpx.post(
        f"{installation.settings.serving_url}/predict/titanic", json={"records": [PASSENGER]}
    ).json()
    assert answer["model_version"] >= 1
    assert 0 < answer["predictions"][0]["probability"] < 1
    assert answer["predictions"][0]["label"] in (0, 1)


def test_an_answer_is_traced_to_its_run_and_replayed(installation: Installation) -> None:
    records = [PASSENGER, {**PASSENGER, "Age": None, "Name": "Rice, Master. Eugene"}]
    url = f"{installation.settings.serving_url}/predict/titanic"
    answer = httpx.post(url, json={"records": records}).json()
    # Waits for the replica to write it: asking takes longer than it does.
    asked = ("trace", answer["request_id"], "--replay")
    deadline = time.monotonic() + LOGGED_S
    while installation.command(*asked).returncode and time.monotonic() < deadline:
        time.sleep(1)
    found = installation.ask(*asked)
    told = [(row["logged"], row["logged_label"]) for row in found["replay"]["rows"]]
    assert told == [(one["probability"], one["label"]) for one in answer["predictions"]]
    assert found["replay"]["same"], found["replay"]["summary"]
    assert found["answer"]["rows"][1]["features"]["Title"] == "Master"
    assert found["version"]["version"] == answer["model_version"]
    run = installation.ask("runs", "show", found["run"]["id"])["run"]
    # Whoever started it: other tests have let people with accounts bring the version about.
    assert run["model_version"] == answer["model_version"]
    assert run["started_by"] == found["run"]["started_by"] != ""
    raw = installation.settings.home / "runs" / run["id"] / "workspace" / "raw.parquet"
    assert found["data"]["data_version"] == f"md5:{file_md5(raw)}"
    kept = installation.settings.home / found["data"]["data_file"]
    assert kept.with_name(f"{kept.name}.dvc").is_file()
    assert file_md5(kept) == file_md5(raw)
    assert found["code"]["git_commit"]
    assert re.fullmatch("[0-9a-f]{64}", found["code"]["digest"])
    assert found["promotion"]["run_id"] == run["id"]


def test_a_run_leaves_everything_in_mlflow(installation: Installation) -> None:
    run = _bootstrap_run(installation)
    base = f"{installation.settings.mlflow_url}/api/2.0/mlflow"
    data = httpx.get(f"{base}/runs/get", params={"run_id": run["id"]}).json()["run"]["data"]
    tags = {tag["key"]: tag["value"] for tag in data["tags"]}
    assert tags["pilothouse.data_version"].startswith("md5:")
    assert tags["pilothouse.git_commit"]
    assert len(tags["pilothouse.code_digest"]) == 64
    assert '"java"' in tags["pilothouse.environment"]
    metrics = {metric["key"] for metric in data["metrics"]}
    assert {"auc", "auc_low", "auc_high", "brier", "log_loss", "cv_auc"} <= metrics
    assert "parity_max_difference" in metrics
    bill = {m["key"]: m["value"] for m in data["metrics"]}
    assert bill["core_seconds"] > 1
    # A driver and an executor hold a JVM each.
    assert bill["peak_rss_mb"] > 300
    assert bill["task_seconds"] > 1
    assert 0 < bill["phase.preprocess_seconds"] < bill["phase.train_seconds"]
    files = httpx.get(
        f"{base}/artifacts/list", params={"run_id": run["id"], "path": "report/figures"}
    ).json()["files"]
    names = {Path(file["path"]).name for file in files}
    assert {"roc.png", "roc.csv", "confusion.png", "calibration.png", "weights.csv"} <= names
    children = httpx.post(
        f"{base}/runs/search",
        json={
            "experiment_ids": [_experiment(base)],
            "filter": f"tags.`mlflow.parentRunId` = '{run['id']}'",
        },
    ).json()["runs"]
    assert len(children) == 2


def _experiment(base: str) -> str:
    found = httpx.get(f"{base}/experiments/get-by-name", params={"experiment_name": "titanic"})
    return str(found.json()["experiment"]["experiment_id"])


@pytest.mark.long
def test_dvc_repro_gives_what_the_run_gave(installation: Installation, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(CODE_ROOT), str(clone)], check=True)
    # What is tested is the tree at hand, committed or not.
    for name in ("core", "serve", "dvc.yaml"):
        target = clone / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        source = CODE_ROOT / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    shutil.copy(installation.settings.params_file, clone / "params.yaml")
    environment = {
        **installation.environment,
        "PYTHONPATH": f"{clone}{os.pathsep}{installation.environment['PYTHONPATH']}",
        "PILOTHOUSE_PARAMS_FILE": str(clone / "params.yaml"),
    }
    driver = _spark_driver(installation)
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "evaluate@titanic"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    # Its stages shared a session: the one that was held before, where there was one.
    assert "Spark was warm" in done.stdout + done.stderr
    held = _spark_driver(installation)
    assert held is not None
    assert driver in (None, held)
    run = _bootstrap_run(installation)
    panel = installation.settings.home / "runs" / run["id"] / "workspace"
    repro = clone / "data" / "titanic"
    for name in DATA_FILES:
        assert (panel / name).read_bytes() == (repro / name).read_bytes(), name
    # A passenger of the data; of a name no more than the title may be kept.
    stored = [path for root in (panel, repro) for path in root.rglob("*") if path.is_file()]
    assert {panel / name for name in DATA_FILES} <= {*stored}
    assert [path for path in stored if b"Heikkinen" in path.read_bytes()] == []
    columns = set(pq.read_schema(panel / "model" / "reference.parquet").names)
    assert {"Title", "Deck"} <= columns
    assert not {"Name", "Cabin"} & columns
    reports = [
        EvaluationReport.model_validate_json((root / "evaluation" / "report.json").read_text())
        for root in (panel, repro)
    ]
    for name, estimate in reports[0].metrics.items():
        other = reports[1].metrics[name]
        assert estimate.value == pytest.approx(other.value, abs=1e-9)
        assert estimate.low == pytest.approx(other.low, abs=1e-9)


def test_a_problem_of_ones_own_goes_all_the_way(installation: Installation) -> None:
    run = installation.ask("run", "orchard", "--wait")
    assert run["status"] == "finished"
    assert run["model_version"] == 1
    serving = installation.settings.serving_url

    def served() -> Any:
        return httpx.get(f"{serving}/problems/orchard").is_success

    _wait_until(served, 60, "serving orchard")
    described = httpx.get(f"{serving}/problems/orchard").json()
    assert described["version"] == 1
    reference = (
        installation.settings.home
        / "runs"
        / run["id"]
        / "workspace"
        / "model"
        / "reference.parquet"
    )
    assert "probability" in pq.read_schema(reference).names


def test_a_better_candidate_waits_and_a_person_lets_it_serve(installation: Installation) -> None:
    before = installation.ask("promote", "history", "titanic")[0]
    run = installation.ask("run", "titanic", "--wait")
    (request,) = installation.ask("promote", "list", "--open")
    assert request["version"] == run["model_version"]
    # What serves may be the model of another test, so that soft gates may say either.
    assert {g["verdict"] for g in request["gates"] if g["hard"]} == {"pass"}
    assert {g["verdict"] for g in request["gates"] if g["gate"] == "AUC"} == {"pass"}
    short = installation.command("promote", "approve", request["id"], "--reason", "ok")
    assert short.returncode == 1
    assert "at least 10 characters" in short.stderr.replace("\n", " ")
    done = installation.ask("promote", "approve", request["id"], "--reason", "as good, and newer")
    assert done["version"] == run["model_version"]
    answer = httpx.post(
        f"{installation.settings.serving_url}/predict/titanic", json={"records": [PASSENGER]}
    ).json()
    assert answer["model_version"] == run["model_version"] != before["version"]


def _cpu_s(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(one.user + one.system for one in times)


def _spark_driver(installation: Installation) -> psutil.Process | None:
    """The JVM in which the session's driver runs; the same one for as long as it is held."""
    drivers = [p for p in _java_processes(installation) if "SparkSubmit" in " ".join(p.cmdline())]
    return drivers[0] if drivers else None


def _metrics(installation: Installation, run_id: str) -> dict[str, float]:
    url = f"{installation.settings.mlflow_url}/api/2.0/mlflow/runs/get"
    data = httpx.get(url, params={"run_id": run_id}).json()["run"]["data"]
    return {metric["key"]: metric["value"] for metric in data["metrics"]}


@pytest.mark.long
def test_the_next_run_finds_spark_warm(installation: Installation) -> None:
    first = installation.ask("run", "titanic", *QUICK_LR, "--wait")
    driver = _spark_driver(installation)
    assert driver is not None
    second = installation.ask("run", "titanic", *QUICK_LR, "--wait")
    assert second["status"] == "finished", second["error"]
    assert _metrics(installation, second["id"])["spark_was_warm"] == 1
    assert _spark_driver(installation) == driver
    models = [_model(installation, run["id"]) for run in (first, second)]
    assert models[0] == models[1]


def _model(installation: Installation, run_id: str) -> bytes:
    workspace = installation.settings.home / "runs" / run_id / "workspace"
    return (workspace / "model" / "model.onnx").read_bytes()


@pytest.mark.long
def test_xgboost_goes_through_the_same_search_parity_and_gates(installation: Installation) -> None:
    xgb = ("--set", "search.families=[xgb]", "--set", "search.trials=2")
    run = installation.ask("run", "titanic", *xgb, "--wait")
    assert run["status"] == "finished", run["error"]
    report = installation.ask("runs", "show", run["id"])["report"]
    assert (report["family"], len(report["candidates"])) == ("xgb", 2)
    assert report["parity"]["max_difference"] <= report["parity"]["tolerance"]
    assert 0.7 < report["metrics"]["auc"]["value"] < 1
    (request,) = installation.ask("promote", "list", "--open")
    assert request["version"] == run["model_version"]
    assert {g["verdict"] for g in request["gates"] if g["hard"]} == {"pass"}
    assert _metrics(installation, run["id"])["core_seconds"] > 1


@pytest.mark.long
def test_tpe_gives_the_same_model_again(installation: Installation) -> None:
    tpe = ("--set", "search.strategy=tpe", "--set", "search.trials=5")
    runs = [installation.ask("run", "titanic", *tpe, "--wait") for _ in range(2)]
    assert [run["status"] for run in runs] == ["finished", "finished"]
    assert _model(installation, runs[0]["id"]) == _model(installation, runs[1]["id"])


def test_a_second_run_is_refused_and_a_cancelled_one_leaves_no_work_in_spark(
    installation: Installation,
) -> None:
    started = installation.ask("run", "titanic", "--set", "search.trials=30")
    second = installation.command("run", "titanic")
    assert second.returncode == 1
    assert "active already" in second.stderr

    def training() -> bool:
        run = installation.ask("runs", "show", started["id"])["run"]
        return (run["progress"] or {}).get("stage") == "train"

    _wait_until(training, 120, "training")
    driver = _spark_driver(installation)
    ended = installation.ask("runs", "cancel", started["id"])
    assert ended["status"] == "cancelled"

    def is_idle() -> bool:
        processes = _java_processes(installation)
        before = _cpu_s(processes)
        time.sleep(2)
        return _cpu_s(processes) - before < 0.2

    _wait_until(is_idle, 40, "an idle Spark")
    assert _spark_driver(installation) == driver
    log = installation.command("runs", "logs", started["id"]).stdout
    assert "stage: ingest" in log


@pytest.mark.long
def test_a_run_whose_spark_dies_begins_anew_on_a_fresh_session(
    installation: Installation,
) -> None:
    started = installation.ask("run", "titanic", "--set", "search.trials=4")

    def training() -> bool:
        run = installation.ask("runs", "show", started["id"])["run"]
        return (run["progress"] or {}).get("stage") == "train"

    _wait_until(training, 120, "training")
    killed = _spark_driver(installation)
    master = next(
        process
        for process in _java_processes(installation)
        if "AppMaster" in " ".join(process.cmdline())
    )
    master.send_signal(signal.SIGKILL)
    ended = installation.wait_for_run(started["id"], timeout_s=300)
    assert ended["status"] == "finished", ended["error"]
    log = installation.command("runs", "logs", started["id"]).stdout
    assert "Starting over on a fresh session" in log
    assert _spark_driver(installation) != killed
    assert killed is not None
    assert not killed.is_running()


@pytest.mark.long
def test_an_idle_session_that_is_not_kept_leaves_no_jvm(installation: Installation) -> None:
    run = installation.ask(
        "run", "titanic", *QUICK_LR, "--set", "spark.idle_minutes=0", "--profile", "1c-1g", "--wait"
    )
    assert run["status"] == "finished", run["error"]
    assert _metrics(installation, run["id"])["spark_was_warm"] == 0
    _wait_until(lambda: not _java_processes(installation), 60, "the end of every JVM")


def test_a_profile_the_cluster_cannot_give_is_refused_in_seconds(
    installation: Installation,
) -> None:
    before = time.monotonic()
    refused = installation.command("run", "titanic", "--profile", "4c-6g")
    if psutil.cpu_count(logical=False) >= 4:
        pytest.fail("this machine can give the profile; choose a larger one for the test")
    assert refused.returncode == 1
    assert "Profile 4c-6g needs 4 cores" in refused.stderr.replace("\n", " ")
    assert time.monotonic() - before < 30


# The browser test drives a sweep as well; this one looks at everything it leaves.
@pytest.mark.long
def test_a_sweep_measures_each_family_and_gives_advice(installation: Installation) -> None:
    given = ("--profiles", "1c-1g", "--families", "lr,gbt", "--repeat", "1")
    found = installation.ask("profile", "titanic", *given, "--set", "search.trials=1", "--wait")
    sweep, report, advice = found["sweep"], found["report"], found["advice"]
    assert sweep["status"] == "finished", sweep["error"]
    assert [m["family"] for m in report["measurements"]] == ["lr", "gbt"]
    for one in report["measurements"]:
        assert 0.7 < one["cv_auc"] < 1
        assert one["usage"]["core_seconds"] > 0
        assert {phase["name"] for phase in one["usage"]["phases"]} == {"preprocess", "train"}
        assert one["usage"]["slowest"]
    by_depth: dict[int, list[int]] = {}
    for point in report["boosting"]:
        by_depth.setdefault(point["max_depth"], []).append(point["iterations"])
    assert by_depth
    assert all(cuts[:4] == [1, 2, 5, 10] for cuts in by_depth.values())
    assert advice["profile"] == "1c-1g"
    assert advice["reasons"]
    assert sweep["id"] not in {run["id"] for run in installation.ask("runs", "list")}
    folder = installation.settings.home / "sweeps" / sweep["id"]
    assert (folder / "sweep" / "sweep.json").exists()
    assert not (folder / "scratch").exists()
    refused = installation.command("profiles", "cancel", sweep["id"])
    assert refused.returncode == 1
    assert "has ended already: finished" in refused.stderr.replace("\n", " ")
