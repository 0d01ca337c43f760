"""The command line on fakes: what it takes, what it prints, how it fails."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from core import cli, cli_services, cli_session
from core.access.roles import Role
from core.bootstrap import Pilothouse
from core.deployment.metrics import metrics_folder, write_metrics
from core.domain import RunStatus, Stage
from core.domain_serving import Health, ServedVersion, ServingStatus
from core.errors import InvalidInputError, NotFoundError, Offence, SetupError
from core.params_rollout import SloParams
from core.promotion.audit import Action
from core.rollout.slo_watch import SloService, SloWatch
from core.settings import Settings
from core.training.job_spec import LOG_FILE, run_folder
from core.training.stage_times import metrics_of
from core.training.tracking import PREDICTIONS_FILE
from serve.counts import Counts
from tests.unit.core_fakes import World, make_world
from tests.unit.load_values import replica_set, told

REASON = "better [on] every slice"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = make_world(tmp_path)
    monkeypatch.setattr(cli_session, "connect", lambda: made.pilothouse)
    monkeypatch.setattr("core.first_start.POLL_S", 0.0)
    # Wide enough that no sentence and no cell is broken over lines.
    monkeypatch.setenv("COLUMNS", "250")
    yield made
    made.close()


@pytest.fixture
def waiting(world: World) -> str:
    """Id of the open request for v2 while v1 serves."""
    world.pilothouse.promotions.consider(world.train(0.85))
    world.pilothouse.promotions.consider(world.train(0.9))
    (request,) = world.pilothouse.promotions.requests(open_only=True)
    return request.id


def _invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


def _json_of(*arguments: str) -> Any:
    done = _invoke(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def _main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Runs the installed command; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["pilothouse", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


class TestArguments:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["no-such-command"],
            ["run"],
            ["run", "plums", "--no-such-option"],
            ["runs", "show"],
            ["runs", "list", "--limit", "0"],
            ["runs", "list", "--limit", "many"],
            ["runs", "logs", "r1", "--tail", "0"],
            ["runs", "compare"],
            ["promote", "approve", "q1"],
            ["promote", "reject", "--reason", "because of this"],
            ["promote", "history"],
        ],
    )
    def test_what_it_does_not_take_is_a_usage_error(self, arguments: list[str]) -> None:
        done = _invoke(*arguments)
        assert done.exit_code == 2
        assert "Usage" in done.output

    @pytest.mark.parametrize(
        "group",
        [
            *([], ["run"], ["runs"], ["runs", "list"], ["runs", "compare"]),
            *(["promote"], ["promote", "approve"], ["serve"]),
        ],
    )
    def test_every_command_explains_itself(self, group: list[str]) -> None:
        done = _invoke(*group, "--help")
        assert done.exit_code == 0
        assert "Usage" in done.output

    @pytest.mark.parametrize("change", ["search.trials", ""])
    def test_a_change_needs_a_value(self, world: World, change: str) -> None:
        done = _invoke("run", "plums", "--set", change)
        assert isinstance(done.exception, InvalidInputError)
        assert world.tracker.runs == {}


class TestRuns:
    def test_run_starts_and_returns(self, world: World) -> None:
        done = _invoke("run", "plums", "--profile", "1c-1g", "--set", "search.trials = 3")
        assert done.exit_code == 0
        (run,) = world.pilothouse.runs.list()
        assert done.stdout == f"Run {run.id} of plums is queued.\n"
        assert (run.profile, run.started_by) == ("1c-1g", world.pilothouse.settings.operator)
        (command,) = world.cluster.commands.values()
        assert '"trials":3' in command

    def test_run_in_json(self, world: World) -> None:
        found = _json_of("run", "plums")
        (run,) = world.pilothouse.runs.list()
        assert found == {
            "id": run.id,
            "problem": "plums",
            "status": "queued",
            "profile": world.pilothouse.params.profile,
            "started_by": world.pilothouse.settings.operator,
            "started_at": run.started_at.isoformat(),
            "ended_at": None,
            "progress": None,
            "error": None,
            "model_version": None,
        }

    @pytest.mark.parametrize(
        ("succeeds", "status", "version", "code"),
        [(True, "finished", 1, 0), (False, "failed", None, 1)],
    )
    def test_waiting_follows_a_run_to_its_end(
        self,
        world: World,
        monkeypatch: pytest.MonkeyPatch,
        succeeds: bool,
        status: str,
        version: int | None,
        code: int,
    ) -> None:
        submit = world.cluster.submit

        def submit_and_end(job_id: str, command: str) -> None:
            submit(job_id, command)
            (run,) = world.pilothouse.database.active_runs()
            if succeeds:
                world.complete(run.id, auc=0.85)
            else:
                world.tracker.finish(run.id, RunStatus.FAILED, "It broke.")

        monkeypatch.setattr(world.cluster, "submit", submit_and_end)
        # No worker is here that would look at the version.
        monkeypatch.setattr("core.first_start.CONSIDER_TIMEOUT_S", 0.0)
        done = _invoke("run", "plums", "--wait", "--json")
        found = json.loads(done.stdout)
        assert (found["status"], found["model_version"]) == (status, version)
        assert done.exit_code == code

    def test_runs_are_listed_newest_first(self, world: World) -> None:
        assert _json_of("runs", "list") == []
        ids = [world.train().id for _ in range(3)][::-1]
        assert [entry["id"] for entry in _json_of("runs", "list")] == ids
        assert [entry["id"] for entry in _json_of("runs", "list", "--limit", "2")] == ids[:2]
        assert _json_of("runs", "list", "--problem", "pears") == []
        shown = _invoke("runs", "list")
        assert shown.exit_code == 0
        assert "finished" in shown.stdout

    def test_an_empty_list_says_so(self, world: World) -> None:
        assert _invoke("runs", "list").stdout == "Runs: none\n"

    def test_a_finished_run_is_shown_with_its_report(self, world: World) -> None:
        run = world.train(0.875)
        found = _json_of("runs", "show", run.id)
        assert (found["id"], found["run"]["model_version"]) == (run.id, 1)
        assert found["report"]["metrics"]["auc"]["value"] == 0.875
        shown = _invoke("runs", "show", run.id).stdout
        assert "0.8750" in shown
        assert "registered version 1" in shown

    def test_a_finished_run_is_shown_with_the_time_of_each_stage(self, world: World) -> None:
        run = world.train()
        assert _json_of("runs", "show", run.id)["times"] is None
        taken = {Stage.TRAIN: 31.25, Stage.START: 18.5}
        world.tracker.log(run.id, {}, metrics_of(taken, spark_was_warm=False))
        assert _json_of("runs", "show", run.id)["times"] == {
            "stages": [
                {"stage": "start Spark", "seconds": 18.5},
                {"stage": "train", "seconds": 31.25},
            ],
            "spark_was_warm": False,
        }
        shown = _invoke("runs", "show", run.id).stdout
        assert "18.5" in shown
        assert "Spark was started for it." in shown
        world.tracker.log(run.id, {}, metrics_of(taken, spark_was_warm=True))
        assert "Spark was warm." in _invoke("runs", "show", run.id).stdout

    def test_runs_are_compared_with_the_first(self, world: World) -> None:
        ids = [world.train(auc).id for auc in (0.85, 0.9)]
        for run_id, how_far in zip(ids, (2.0, 0.5), strict=True):
            world.keep_predictions(run_id, how_far)
        found = _json_of("runs", "compare", *ids)
        assert found["id"] == ids[0]
        assert [entry["id"] for entry in found["runs"]] == ids
        assert [entry["version"] for entry in found["runs"]] == [1, 2]
        base, better = found["runs"]
        assert base["against_baseline"] is None
        assert better["metrics"]["auc"]["difference"] == pytest.approx(0.05)
        assert better["against_baseline"]["auc"]["probability_better"] > 0.9
        assert {one["column"] for one in better["against_baseline"]["slices"]} == {
            *("weight", "stones", "colour")
        }
        shown = _invoke("runs", "compare", *ids).stdout
        assert "0.9000 (+0.0500)" in shown
        assert f"v2 gbt {ids[1][:8]} is better than v1 gbt {ids[0][:8]} with prob" in shown
        turned = _invoke("runs", "compare", *ids[::-1]).stdout
        assert "got worse" in turned
        assert "P(better)" in turned

    def test_runs_without_predictions_are_compared_by_their_metrics(self, world: World) -> None:
        ids = [world.train(auc).id for auc in (0.85, 0.9)]
        world.tracker.put_file(ids[1], PREDICTIONS_FILE, None)
        shown = _invoke("runs", "compare", *ids).stdout
        assert "0.9000 (+0.0500)" in shown
        assert "kept no predictions of the holdout" in shown

    def test_a_run_that_has_not_ended_has_no_report(self, world: World) -> None:
        run = world.start()
        assert _json_of("runs", "show", run.id)["report"] is None

    def test_a_log_is_printed_as_it_is(self, world: World) -> None:
        run = world.start()
        path = run_folder(world.pilothouse.settings.home, run.id) / LOG_FILE
        path.parent.mkdir(parents=True)
        path.write_text("one\n[red]two[/] ärlig\n", encoding="utf-8")
        assert _invoke("runs", "logs", run.id).stdout == "one\n[red]two[/] ärlig\n"
        assert _invoke("runs", "logs", run.id, "--tail", "1").stdout == "[red]two[/] ärlig\n"

    def test_cancel_in_json(self, world: World) -> None:
        run = world.start()
        found = _json_of("runs", "cancel", run.id)
        assert (found["id"], found["status"]) == (run.id, "cancelled")


class TestPromote:
    def test_requests_are_listed(self, world: World, waiting: str) -> None:
        (entry,) = _json_of("promote", "list", "--open")
        assert (entry["id"], entry["version"], entry["status"]) == (waiting, 2, "open")
        verdicts = {gate["gate"]: gate["verdict"] for gate in entry["gates"]}
        assert (verdicts["contract"], verdicts["AUC"]) == ("pass", "fail")
        assert _json_of("promote", "list", "--problem", "pears") == []

    def test_approve_deploys_and_waits_until_it_serves(self, world: World, waiting: str) -> None:
        found = _json_of("promote", "approve", waiting, "--reason", REASON)
        assert (found["version"], found["rule"], found["reason"]) == (2, "approval", REASON)
        assert world.serving.deployed[-1]["plums"].version == 2
        assert world.serving.waited_for == [("plums", 2)]
        history = _json_of("promote", "history", "plums")
        assert [entry["version"] for entry in history] == [2, 1]
        assert all(entry["id"] for entry in history)
        eyes = "not in force: one local operator"
        assert [entry["four_eyes"] for entry in history] == [eyes, eyes]
        newest, _ = world.pilothouse.promotions.history("plums")
        assert newest.live_at is not None
        took_s = (newest.live_at - newest.since).total_seconds()
        assert history[0]["answering_after_s"] == took_s >= 0
        assert f"{took_s:.1f} s" in _invoke("promote", "history", "plums").stdout

    def test_reject_in_json(self, world: World, waiting: str) -> None:
        found = _json_of("promote", "reject", waiting, "--reason", REASON)
        assert (found["id"], found["status"], found["reason"]) == (waiting, "rejected", REASON)
        assert {models["plums"].version for models in world.serving.deployed} == {1}
        assert _json_of("promote", "list", "--open") == []

    def test_brackets_in_a_reason_are_shown(self, world: World, waiting: str) -> None:
        for reason in ("all [green]slices[/green] win", "mind the [/] in this reason"):
            world.pilothouse.promotions.consider(world.train(0.95))
            (request,) = world.pilothouse.promotions.requests(open_only=True)
            done = _invoke("promote", "reject", request.id, "--reason", reason)
            assert done.exit_code == 0
        shown = _invoke("promote", "list")
        assert shown.exit_code == 0
        assert "all [green]slices[/green] win" in shown.stdout
        assert "mind the [/] in this reason" in shown.stdout
        assert _invoke("promote", "history", "[/]").stdout == "Production of [/]: none\n"

    def test_a_version_that_does_not_come_up_is_an_error(
        self, world: World, waiting: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.serving.plug.pulled = True
        assert _main(monkeypatch, "promote", "approve", waiting, "--reason", REASON) == 1

    def test_going_back_waits_until_it_serves(self, world: World, waiting: str) -> None:
        _json_of("promote", "approve", waiting, "--reason", REASON)
        found = _json_of("promote", "rollback", "plums", "--reason", REASON)
        assert (found["version"], found["rule"]) == (1, "rollback")
        assert world.serving.waited_for[-1] == ("plums", 1)
        again = _invoke("promote", "rollback", "plums", "--version", "2", "--reason", REASON)
        assert again.exit_code == 0
        # The gates are shown, and stop nothing.
        assert "parity with Spark" in again.stdout
        assert "plums v2 is Production again and serves." in again.stdout

    def test_a_version_is_asked_for_again(self, world: World, waiting: str) -> None:
        _json_of("promote", "reject", waiting, "--reason", REASON)
        found = _json_of("promote", "request", "plums", "2", "--reason", REASON)
        assert (found["version"], found["status"], found["request_reason"]) == (2, "open", REASON)

    def test_what_served_at_a_time(self, world: World, waiting: str) -> None:
        _json_of("promote", "approve", waiting, "--reason", REASON)
        live = _json_of("promote", "history", "plums")[0]["live_at"]
        (found,) = _json_of("promote", "history", "plums", "--at", live)
        assert (found["version"], found["decided_by"]) == (2, "operator")
        never = _invoke("promote", "history", "plums", "--at", "2020-01-31T08:15")
        assert isinstance(never.exception, NotFoundError)
        assert "2020-01-31 08:15:00 UTC" in never.exception.message
        nonsense = _invoke("promote", "history", "plums", "--at", "yesterday")
        assert isinstance(nonsense.exception, InvalidInputError)

    def test_what_is_said_of_four_eyes_and_of_gates(self, world: World, waiting: str) -> None:
        done = _invoke("promote", "approve", waiting, "--reason", REASON)
        assert "Four eyes: not in force: one local operator." in done.stdout
        assert "Passed over: AUC: " in done.stdout

    def test_a_moved_alias_is_said_and_put_right(self, world: World, waiting: str) -> None:
        world.registry.set_alias("plums", "production", 2)
        said = "The alias production points at v2; the record says v1."
        assert said in _invoke("promote", "history", "plums").stdout
        _json_of("promote", "restore", "plums", "--reason", REASON)
        assert world.registry.aliases("plums")["production"] == 1
        assert said not in _invoke("promote", "history", "plums").stdout
        world.registry.plug.pulled = True
        assert "cannot be told" in _invoke("promote", "history", "plums").stdout


class TestServe:
    def test_status(self, world: World) -> None:
        served = ServedVersion("plums", 4, "run", "gbt", 0.5)
        world.serving.shown = ServingStatus(Health.HEALTHY, 2, (served,), "[all] well")
        world.serving.replicas = replica_set(2, ("running", "starting"))
        found = _json_of("serve", "status")
        load = found.pop("load")
        assert (load["target"], load["running"], load["traffic"]) == (2, 1, None)
        assert [one["id"] for one in load["replicas"]] == ["r1", "r2"]
        assert load["outlook"]["sentence"].startswith("Asks for 2 replicas.")
        assert load["decisions"] == []
        assert found == {
            "health": "healthy",
            "replicas": 2,
            "served": [
                {
                    "problem": "plums",
                    "version": 4,
                    "run_id": "run",
                    "family": "gbt",
                    "threshold": 0.5,
                    "bundle_sha256": "",
                }
            ],
            "detail": "[all] well",
            "failures": {},
            "beside": {},
            "is_blank": False,
            "slo": {"plums": None},
            "last_repairs": {"plums": None},
        }
        shown = _invoke("serve", "status").stdout
        assert "healthy with 2 replicas. [all] well" in shown
        assert "v4" in shown
        assert "last repair" not in shown
        assert "Asks for 2 replicas. How many requests are in flight is not known yet." in shown
        assert "Policy: 1 to 3 replicas, each with 16 requests" in shown
        assert "Decisions on replicas: none" in shown
        assert "Service level objectives: none" in shown

    def test_status_tells_how_much_of_the_error_budget_is_left(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        objective = SloParams(availability=0.99, p95_ms=100.0, window_days=7)
        home, counts = world.pilothouse.settings.home, Counts("r1")
        slo = SloService(home, {"plums": objective})
        told_of = replace(world.pilothouse, slo=slo)
        monkeypatch.setattr(cli_session, "connect", lambda: told_of)
        watch = SloWatch(home, {"plums": objective})
        watch.look()
        for status in (*[200] * 799, 500):
            counts.note("plums", "predict", status, 0.001)
        write_metrics(metrics_folder(home), "r1", told(counts))
        watch.look()
        found = _json_of("serve", "status")["slo"]["plums"]
        assert (found["requests"], found["errors"], found["is_spent"]) == (800, 1, False)
        assert found["objective"]["window_days"] == 7
        assert found["spent_errors"] == pytest.approx(0.125)
        shown = _invoke("serve", "status").stdout
        assert "88 %" in shown
        assert "12 % is spent by failed requests" in " ".join(shown.split())

    def test_status_tells_of_the_last_repair(self, world: World) -> None:
        row = world.pilothouse.audit.record(
            Action.SERVING_REPAIRED,
            actor="worker",
            object="plums v4",
            problem="plums",
            detail="Nothing answered [at all].",
        )
        told = _json_of("serve", "status")["last_repairs"]["plums"]
        assert (told["detail"], told["outcome"]) == ("Nothing answered [at all].", "done")
        said = f"plums: last repair {row.entry.at:%Y-%m-%d %H:%M} UTC: Nothing answered [at all]."
        assert said in _invoke("serve", "status").stdout


class TestFailures:
    def test_an_expected_failure_is_a_sentence_and_its_fix(
        self, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert _main(monkeypatch, "runs", "show", "[/]") == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err == "There is no run '[/]'. `pilothouse runs list` shows them.\n"

    def test_every_offence_is_a_line(
        self, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            offences = [Offence("weight", "too [light]", 3), Offence("colour", "is missing")]
            raise InvalidInputError("Two cells are wrong.", fix="Look.", offences=offences)

        monkeypatch.setattr(world.pilothouse.runs, "start", refuse)
        assert _main(monkeypatch, "run", "plums") == 1
        assert capsys.readouterr().err.splitlines() == [
            "Two cells are wrong. Look.",
            "  weight in row 3: too [light]",
            "  colour: is missing",
        ]

    def test_an_unexpected_failure_leaves_its_trace_in_the_log(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        own_logging: None,
    ) -> None:
        def break_down() -> Pilothouse:
            raise RuntimeError("a mistake of ours")

        monkeypatch.setattr(cli_session, "connect", break_down)
        monkeypatch.setenv("PILOTHOUSE_HOME", str(tmp_path / "home"))
        assert _main(monkeypatch, "runs", "list") == 1
        said = capsys.readouterr().err
        assert "An unexpected RuntimeError. The trace is in" in said
        assert "a mistake of ours" not in said
        log = (tmp_path / "home" / "logs" / "command.log").read_text()
        assert "a mistake of ours" in log
        assert "Traceback" in log

    def test_where_the_log_cannot_be_written_it_is_still_one_sentence(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        own_logging: None,
    ) -> None:
        def break_down() -> Pilothouse:
            raise PermissionError(13, "Permission denied", "secrets")

        monkeypatch.setattr(cli_session, "connect", break_down)
        (tmp_path / "home").write_text("no folder")
        monkeypatch.setenv("PILOTHOUSE_HOME", str(tmp_path / "home"))
        assert _main(monkeypatch, "runs", "list") == 1
        said = " ".join(capsys.readouterr().err.split())
        assert "An unexpected PermissionError." in said
        assert "Permission denied: 'secrets'. Its trace could not be written." in said
        assert "Traceback" not in said

    def test_a_success_returns_zero(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        assert _main(monkeypatch, "runs", "list") == 0


@pytest.fixture
def own_logging() -> Iterator[None]:
    """The command takes the root logger over; the tests want it back."""
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers.clear()
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = before


@pytest.mark.parametrize(
    "opened", [{"host": "0.0.0.0"}, {"panel_public_url": "https://panel.example.org"}]
)
def test_up_is_refused_while_strangers_could_come_in(
    world: World, monkeypatch: pytest.MonkeyPatch, opened: dict[str, str]
) -> None:
    started: list[Settings] = []

    class Manager:
        def __init__(self, settings: Settings) -> None:
            self.settings = settings

        def up(self, *_: object) -> None:
            started.append(self.settings)
            raise SetupError("as far as this test goes")

    def connect(settings: Settings) -> Pilothouse:
        return replace(world.pilothouse, settings=settings)

    monkeypatch.setattr(cli_services, "_manager", Manager)
    monkeypatch.setattr("core.bootstrap.connect", connect)
    settings = world.pilothouse.settings.model_copy(update=opened)

    with pytest.raises(SetupError, match="Nobody has to sign in"):
        cli_services.start(settings, None)
    assert not started

    world.pilothouse.accounts.add("anna", Role.ADMIN, actor=settings.operator)
    for allowed in (settings, settings.model_copy(update={"allow_open": True})):
        with pytest.raises(SetupError, match="as far as"):
            cli_services.start(allowed, None)
    assert len(started) == 2
