"""The parts of the tour: where it happens, who acts, how it is told, what its steps come to."""

from __future__ import annotations

import os
import shlex
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

import pyarrow as pa
import pytest

from core import cli_simulate
from core.errors import PilothouseError, SetupError
from core.params import load_params
from core.problems import load_problem
from core.settings import CODE_ROOT, Settings
from core.settings_apart import PUBLISHED_PORTS
from demo import screen as screen_module
from demo.first_steps import FIRST
from demo.later_steps import LATER, answer_to_trace
from demo.people import ANN, EVE, Crew
from demo.place import (
    CHANGES,
    MARK,
    PROBLEM,
    clear,
    delivered_params,
    demo_params,
    demo_settings,
    prepare,
    value_at,
)
from demo.relay import relay
from demo.screen import Screen
from demo.tour import Step, Taken, Tour, duration, expect, table_of, walk
from demo.traffic import NO_ANSWER, Answered, asked_of, records_of, traffic


class Terminal(StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class TestPlace:
    def test_it_is_an_installation_of_its_own(self, tmp_path: Path) -> None:
        real = Settings(home=tmp_path, params_file=tmp_path / "mine.yaml", store_url="s3://real/x")
        own = demo_settings(real)
        assert own.home == tmp_path / "demo"
        assert own.params_file == tmp_path / "demo" / "params.yaml"
        assert own.store is None

    def test_its_ports_are_nobody_elses(self) -> None:
        real = Settings()
        simulated = cli_simulate.simulation_settings(real)
        # scripts/deliver.sh
        taken = {10501, 10000, 7000, 10265}
        for one in (real, simulated):
            taken |= {getattr(one, name) for name in PUBLISHED_PORTS}
        own = demo_settings(real)
        assert not taken & {getattr(own, name) for name in PUBLISHED_PORTS}
        assert own.panel_port == real.panel_port + 1500

    def test_parameters_are_as_delivered_but_for_what_is_said(self) -> None:
        delivered = delivered_params()
        own = demo_params(delivered)
        for change in CHANGES:
            assert value_at(delivered, change.key) != change.value, f"{change.key} is no change"
            assert value_at(own, change.key) == change.value
            *sections, name = change.key.split(".")
            section = own
            for each in sections:
                section = section[each]
            section[name] = value_at(delivered, change.key)
        promised = own["rollout"].pop("slo")
        assert promised == {PROBLEM: delivered["rollout"].pop("slo")[PROBLEM]}
        assert own == delivered

    def test_it_is_prepared_with_a_mark_and_parameters_that_are_taken(self, tmp_path: Path) -> None:
        settings = demo_settings(Settings(home=tmp_path))
        prepare(settings)
        assert (settings.home / MARK).exists()
        assert load_params(settings.params_file).problems == (PROBLEM,)
        assert load_problem(PROBLEM, settings.packages).arrivals is not None

    def test_what_it_did_not_make_it_leaves_alone(self, tmp_path: Path) -> None:
        home = tmp_path / "demo"
        home.mkdir()
        (home / "precious").touch()
        with pytest.raises(SetupError, match="was not made by the tour"):
            clear(home, lambda: pytest.fail("it ended what is not its own"))
        assert (home / "precious").exists()

    def test_an_earlier_tour_is_ended_and_removed(self, tmp_path: Path) -> None:
        settings = demo_settings(Settings(home=tmp_path))
        prepare(settings)
        ended = []
        assert clear(settings.home, lambda: ended.append((settings.home / MARK).exists()))
        assert ended == [True], "its services end before its files are removed"
        assert not settings.home.exists()
        assert not clear(settings.home, lambda: pytest.fail("nothing is there"))


def _default(name: str) -> object:
    return Settings.model_fields[name].get_default(call_default_factory=True)


class TestScreen:
    def test_without_a_terminal_it_is_plain_lines(self) -> None:
        file = StringIO()
        screen = Screen(file)
        screen.step(2, 11, "Train [now]", "Words to it.")
        screen.command("eve", "pilothouse run titanic --set 'search.families=[lr]'")
        screen.pass_on("Run 1 is finished.\n")
        screen.still(1.0)
        screen.say("done")
        assert file.getvalue().splitlines() == [
            "",
            "== 2 of 11. Train [now]",
            "Words to it.",
            "",
            "eve $ pilothouse run titanic --set 'search.families=[lr]'",
            "Run 1 is finished.",
            "done",
        ]

    def test_without_a_terminal_a_long_silence_gets_a_line(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = StringIO()
        screen = Screen(file)
        screen.still(8.0, "the worker")
        monkeypatch.setattr(screen_module, "PLAIN_SILENCE_S", 0.0)
        screen.still(12.4, "the worker")
        assert file.getvalue() == "  … 12 s the worker\n"

    def test_in_a_terminal_a_clock_runs_and_goes_before_the_next_line(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(screen_module, "SILENCE_S", 0.0)
        file = Terminal()
        screen = Screen(file)
        screen.still(3.0)
        screen.still(4.0)
        screen.pass_on("next\n")
        assert file.getvalue() == "\r\x1b[2K  … 3 s\r\x1b[2K  … 4 s\r\x1b[2Knext\n"

    def test_a_line_that_is_not_over_is_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(screen_module, "SILENCE_S", 0.0)
        file = Terminal()
        screen = Screen(file)
        screen.pass_on("\x1b[32m40 %\x1b[0m train")
        screen.still(3.0)
        assert "…" not in file.getvalue()
        # As a bar leaves it that was taken away again.
        screen.pass_on("\r\x1b[2K\x1b[?25h")
        screen.still(4.0)
        assert file.getvalue().endswith("  … 4 s")


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


class TestRelay:
    def test_what_is_printed_is_passed_on_and_kept(self, tmp_path: Path) -> None:
        file = StringIO()
        code = "import sys, os; print(os.environ['WHO'], os.getcwd()); sys.stderr.write('ö\\n'); "
        code += "sys.exit(3)"
        ended = relay(_python(code), {"WHO": "eve"}, tmp_path, Screen(file))
        assert ended.status == 3
        assert sorted(ended.text.splitlines()) == sorted([f"eve {tmp_path}", "ö"])
        assert file.getvalue() == ended.text

    def test_what_is_not_to_be_shown_is_kept_alone(self, tmp_path: Path) -> None:
        file = StringIO()
        ended = relay(_python("print('phu_1')"), {}, tmp_path, Screen(file), show=False)
        assert (ended.text, file.getvalue()) == ("phu_1\n", "")

    def test_a_service_that_stays_does_not_hold_it(self, tmp_path: Path) -> None:
        code = (
            "import subprocess, sys; "
            "s = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
            "print(s.pid)"
        )
        began = time.monotonic()
        ended = relay(_python(code), {}, tmp_path, Screen(StringIO()))
        os.kill(int(ended.text), 9)
        assert time.monotonic() - began < 30

    def test_a_command_that_closes_its_output_is_waited_for(self, tmp_path: Path) -> None:
        code = "import os, time; os.close(1); os.close(2); time.sleep(0.5); os._exit(4)"
        assert relay(_python(code), {}, tmp_path, Screen(StringIO())).status == 4

    def test_in_a_terminal_it_gets_a_terminal_of_the_same_width(self, tmp_path: Path) -> None:
        file = Terminal()
        screen = Screen(file)
        screen.console.size = (77, 20)
        code = "import os, sys; print(sys.stdout.isatty(), os.get_terminal_size().columns)"
        ended = relay(_python(code), {}, tmp_path, screen)
        assert ended.text == file.getvalue() == "True 77\n"


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Crew, StringIO, Path]:
    """A crew whose `pilothouse` is a script; its screen, and where the script notes its calls."""
    calls = tmp_path / "calls"
    script = tmp_path / "bin" / "pilothouse"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/sh\n"
        f'echo "$* as ${{PILOTHOUSE_TOKEN_FILE:+$(cat "$PILOTHOUSE_TOKEN_FILE")}}" >>"{calls}"\n'
        f'env | grep -E "^(PILOTHOUSE|RAY)_" >"{calls}.env"\n'
        f'[ "$1" = users ] && echo "The token:" && echo "phu_$(wc -l <"{calls}" | tr -d " ")"\n'
        '[ "$1" != fail ]\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PILOTHOUSE_DATABASE_URL", "postgresql://host/real")
    monkeypatch.setenv("PILOTHOUSE_TOKEN", "phu_real")
    monkeypatch.setenv("RAY_ADDRESS", "http://head.example.org:8265")
    file = StringIO()
    settings = demo_settings(Settings(home=tmp_path))
    prepare(settings)
    return Crew(settings, Screen(file)), file, calls


class TestCrew:
    def test_each_renews_the_token_that_another_has_made(
        self, crew: tuple[Crew, StringIO, Path]
    ) -> None:
        people, file, calls = crew
        people.join(EVE, by=None)
        people.join(ANN, by=EVE)
        people.run(ANN, "pilothouse promote list")
        assert calls.read_text(encoding="utf-8").splitlines() == [
            "users add eve --role admin as ",
            "users add ann --role approver as phu_1",
            "users token ann as phu_2",
            "promote list as phu_3",
        ]
        assert "phu_" not in file.getvalue()
        assert "eve $ pilothouse users add ann --role approver" in file.getvalue()
        kept = people.folder / "ann.token"
        assert (kept.read_text(encoding="utf-8"), stat.S_IMODE(kept.stat().st_mode)) == (
            "phu_3",
            0o600,
        )

    def test_settings_of_others_do_not_reach_its_commands(
        self, crew: tuple[Crew, StringIO, Path], tmp_path: Path
    ) -> None:
        people, _, calls = crew
        people.run(None, "pilothouse status")
        seen = dict(
            line.split("=", 1)
            for line in Path(f"{calls}.env").read_text(encoding="utf-8").splitlines()
        )
        assert seen["PILOTHOUSE_HOME"] == str(tmp_path / "demo")
        assert seen["PILOTHOUSE_DATABASE_URL"] == ""
        assert not {"PILOTHOUSE_TOKEN", "RAY_ADDRESS"} & seen.keys()

    def test_a_shell_can_act_as_somebody(
        self, crew: tuple[Crew, StringIO, Path], tmp_path: Path
    ) -> None:
        people, _, _ = crew
        people.join(EVE, by=None)
        lines = (people.folder / "eve.sh").read_text(encoding="utf-8").splitlines()
        given = dict(shlex.split(line)[1].split("=", 1) for line in lines)
        # Whatever is set in the shell for another installation.
        assert given == {
            **demo_settings(Settings(home=tmp_path)).variables(),
            "PILOTHOUSE_TOKEN_FILE": str(people.folder / "eve.token"),
        }

    def test_a_command_that_fails_ends_the_step(self, crew: tuple[Crew, StringIO, Path]) -> None:
        people, _, _ = crew
        with pytest.raises(PilothouseError, match="`pilothouse fail now` ended with status 1"):
            people.run(None, "pilothouse fail now")

    def test_a_refusal_that_does_not_come_ends_the_step(
        self, crew: tuple[Crew, StringIO, Path]
    ) -> None:
        people, _, _ = crew
        people.join(EVE, by=None)
        assert people.is_refused(EVE, "pilothouse fail").status == 1
        with pytest.raises(PilothouseError, match="should have been refused"):
            people.is_refused(EVE, "pilothouse status")


@pytest.fixture
def tour(tmp_path: Path) -> Tour:
    settings = Settings(home=tmp_path, start_timeout_s=0.2)
    return Tour(demo_settings(settings), Screen(StringIO()))


class TestSteps:
    def test_they_are_taken_in_order_until_one_comes_out_otherwise(self, tour: Tour) -> None:
        seen = []

        def act(name: str) -> str:
            seen.append(name)
            expect(name != "b", "It rains.")
            return f"{name} done"

        steps = [Step(name, "eve", "words", lambda _, name=name: act(name)) for name in "abc"]
        taken = walk(tour, steps[:1])
        assert [(one.step.title, one.outcome) for one in taken] == [("a", "a done")]
        with pytest.raises(PilothouseError, match=r"Step 2 of 3, b: It rains\."):
            walk(tour, steps)
        assert seen == ["a", "a", "b"]

    def test_the_table_says_who_did_what_and_how_long(self) -> None:
        step = Step("Serve", "a caller", "words", lambda _: "")
        rows = table_of([Taken(step, "10 rows", 4.4), Taken(step, "more", 61.0)])
        assert rows == [
            ("Serve", "a caller", "10 rows", "4 s"),
            ("Serve", "a caller", "more", "1 min 1 s"),
            ("all of it", "", "", "1 min 5 s"),
        ]
        assert duration(59.6) == "1 min 0 s"

    def test_what_does_not_come_is_given_up(
        self, tour: Tour, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("demo.tour.POLL_S", 0.05)
        with pytest.raises(PilothouseError, match=r"no verdict after 0\.2 s"):
            tour.wait_for("verdict", lambda: None)
        assert tour.wait_for("verdict", lambda: "yes") == "yes"

    def test_the_whole_loop_is_in_it(self) -> None:
        titles = [step.title for step in (*FIRST, *LATER)]
        assert titles == [
            "People",
            "Start",
            "Train",
            "Approve as a second person",
            "Serve",
            "Drift",
            "Alert",
            "Retrain",
            "Approve, as a canary",
            "Roll back",
            "Trace",
        ]

    def test_make_takes_it_and_ends_it(self) -> None:
        makefile = (CODE_ROOT / "Makefile").read_text(encoding="utf-8")
        assert "\ndemo: venv ##" in makefile
        assert "\ndemo-down: ##" in makefile


class TestAnswers:
    def test_one_from_while_both_versions_answered_is_traced(self) -> None:
        versions = [2, 2, 3, 2, 3, 2, 3, 3, 3]
        answers = [Answered(200, f"r{at}", version) for at, version in enumerate(versions)]
        answers.insert(0, Answered(503))
        assert answer_to_trace(answers) == Answered(200, "r4", 3)
        assert len(asked_of(answers, 3)) == 5

    def test_there_has_to_be_one(self) -> None:
        for versions in ([2, 2], [3, 3], []):
            answers = [Answered(200, "r", version) for version in versions]
            with pytest.raises(PilothouseError, match="The canary answered nothing"):
                answer_to_trace(answers)

    def test_records_are_as_a_caller_writes_them(self) -> None:
        contract = load_problem(PROBLEM, ["core.problems"]).contract
        columns = {name: pa.array([None]) for name in contract.names}
        columns |= {"Pclass": pa.array([3.0]), "Fare": pa.array([7.25]), "row_id": pa.array([0])}
        (record,) = records_of(pa.table(columns), contract)
        assert record.keys() == set(contract.names)
        assert (record["Pclass"], record["Fare"], record["Age"]) == (3, 7.25, None)
        assert isinstance(record["Pclass"], int)

    def test_traffic_notes_what_is_not_answered_as_well(self) -> None:
        with _server() as (url, paths):
            with traffic(url, "plums", [{"size": 1}], per_second=500) as answers:
                _until(lambda: len(answers) >= 4)
        assert answers[:3] == [Answered(200, "r0", 7), Answered(503), Answered(NO_ANSWER)]
        assert set(paths) == {"/predict/plums"}
        count = len(answers)
        time.sleep(0.05)
        assert len(answers) == count, "nobody asks any more"


@contextmanager
def _server() -> Iterator[tuple[str, list[str]]]:
    """Answers the first request, refuses the second, drops every other."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            paths.append(self.path)
            if len(paths) > 2:
                self.close_connection = True
                return
            body = b'{"request_id": "r0", "model_version": 7}'
            self.send_response(200 if len(paths) == 1 else 503)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keeps the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
