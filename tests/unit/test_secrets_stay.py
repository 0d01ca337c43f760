"""Secrets are planted, everything is done that can go wrong, and all that was written is searched.

The same on a running installation is in ``tests/integration/test_secrets.py``.
"""

from __future__ import annotations

import configparser
import io
import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr
from supervisor.datatypes import dict_of_key_value_pairs

from core import cli
from core.adapters.notification import Receivers
from core.bootstrap import connect, connect_cluster
from core.data.batches import BatchService
from core.errors import InvalidInputError, SetupError, UnavailableError
from core.monitoring.messages import Message
from core.monitoring.report import Topic
from core.params import load_params
from core.promotion.settings_watch import in_force
from core.services.environment import Launch, declared_environment, service_environment
from core.services.java import JavaRuntime
from core.services.layout import layout_of
from core.services.ports import InternalPorts
from core.services.programs import default_programs
from core.services.supervision import config_text
from core.settings import CODE_ROOT, Settings, load_settings, variable_of
from core.settings_store import STORE_KEY
from tests.planted import KEPT_IN, Planted, kept_openly, plant
from tests.ray_head import free_published_ports
from tests.unit.alert_values import CRITICAL, OK, check_of, report_of
from tests.unit.app_fakes import make_core, open_panel, texts
from tests.unit.webhook import Webhook, listening

#: What people do from a terminal; most of it fails, since no service runs.
COMMANDS = (
    ["status"],
    ["status", "--json"],
    ["alerts", "test"],
    ["alerts", "list", "--json"],
    ["alerts", "show", "nothing"],
    ["run", "titanic"],
    ["runs", "list"],
    ["runs", "show", "nothing"],
    ["batch", "add", "titanic", "nowhere.csv"],
    ["batch", "labels", "titanic", "nowhere.csv"],
    ["batch", "list", "titanic", "--json"],
    ["drift", "titanic"],
    ["retrain", "titanic", "--dry-run"],
    ["promote", "list", "--json"],
    ["promote", "approve", "nothing", "--reason", "because it is better"],
    ["serve", "status", "--json"],
    ["trace", "0" * 32],
    ["users", "list", "--json"],
    ["users", "whoami", "--json"],
    ["audit", "list", "--json"],
    ["audit", "verify", "--json"],
    ["audit", "export"],
)


SERVICE_SECRETS = {
    "alert_url": SecretStr("json://host/T0ken-of-alerts"),
    "database_url": SecretStr("postgresql://us:T0ken-of-records@host/one"),
    "mlflow_database_url": SecretStr("postgresql://us:T0ken-of-mlflow@host/two"),
    "s3_access_key_id": SecretStr("T0ken-of-key"),
    "s3_secret_access_key": SecretStr("T0ken-of-store"),
}
#: Which of them each program sees.
KNOWN = {
    "worker": {"alerts", "records"},
    "panel": {"records"},
    "mlflow": {"mlflow"},
}
#: And where data is in a store: jobs read and write it.
OF_STORE = {"key", "store"}


@pytest.fixture
def hook() -> Iterator[Webhook]:
    """A receiver that refuses."""
    with listening() as made:
        made.status = 403
        yield made


@pytest.fixture
def planted(hook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    """An installation in which every secret setting has a value that stands out."""
    made = plant(f"127.0.0.1:{hook.port}")
    ports = {variable_of(name): str(port) for name, port in free_published_ports().items()}
    quick = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "1"}
    home = {"PILOTHOUSE_HOME": str(tmp_path / "home"), "PILOTHOUSE_LOG_LEVEL": "DEBUG"}
    for name, value in {**made.variables, **ports, **quick, **home}.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What would be logged at level DEBUG by whatever runs in this process."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.setLevel(level)
    root.removeHandler(handler)


class Terminal:
    """A terminal that remembers what was printed on it."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._capture = capture
        self.said = ""

    def run(self, *arguments: str) -> str:
        """Runs a command and returns its standard output."""
        self._patch.setattr(sys, "argv", ["pilothouse", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        printed = self._capture.readouterr()
        self.said += printed.out + printed.err
        return printed.out


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys)


def test_no_secret_is_in_anything_that_commands_write_or_print(
    planted: Planted,
    terminal: Terminal,
    logged: io.StringIO,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in COMMANDS:
        terminal.run(*arguments)
    monkeypatch.setattr(BatchService, "list", lambda *_: _unforeseen())
    terminal.run("batch", "list", "titanic")
    assert "command.log" in terminal.said
    monkeypatch.setenv("PILOTHOUSE_PANEL_PORT", planted.texts[0])
    terminal.run("status")

    assert "403" in terminal.said
    assert planted.in_text(terminal.said) == []
    assert planted.in_text(logged.getvalue()) == []
    assert planted.below(tmp_path) == {}
    home = tmp_path / "home"
    assert (home / KEPT_IN / "audit.key").exists()
    assert kept_openly(home) == []


def test_the_audit_key_is_in_its_file_alone(
    planted: Planted, terminal: Terminal, logged: io.StringIO, tmp_path: Path
) -> None:
    for arguments in (["audit", "verify"], ["audit", "export"], ["users", "list"], ["status"]):
        terminal.run(*arguments)
    home = tmp_path / "home"
    file = home / KEPT_IN / "audit.key"
    key = file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    for form in (key, key.hex().encode()):
        holders = [p for p in home.rglob("*") if p.is_file() and form in p.read_bytes()]
        assert [p for p in holders if p != file] == []
        assert form not in (terminal.said + logged.getvalue()).encode()


def test_a_token_is_printed_once_and_kept_nowhere(
    planted: Planted,
    terminal: Terminal,
    logged: io.StringIO,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = json.loads(terminal.run("users", "add", "anna", "--role", "admin", "--json"))["token"]
    assert first in terminal.said
    terminal.said = ""
    # The planted token is nobody's: a refusal must not repeat it.
    terminal.run("users", "list")
    assert "not valid" in terminal.said
    monkeypatch.setenv("PILOTHOUSE_TOKEN", first)
    for arguments in (["users", "list", "--json"], ["users", "whoami"], ["audit", "list"]):
        terminal.run(*arguments)
    second = json.loads(terminal.run("users", "token", "anna", "--json"))["token"]
    terminal.said = terminal.said.replace(second, "")
    file = tmp_path / "token"
    file.write_text(second, encoding="utf-8")
    file.chmod(0o600)
    monkeypatch.delenv("PILOTHOUSE_TOKEN")
    monkeypatch.setenv("PILOTHOUSE_TOKEN_FILE", str(file))
    terminal.run("users", "whoami")
    assert "anna, admin" in terminal.said
    terminal.run("users", "remove", "anna")

    tokens = planted.with_texts(first, second)
    assert tokens.in_text(terminal.said) == []
    assert tokens.in_text(logged.getvalue()) == []
    assert tokens.below(tmp_path / "home") == {}


def test_no_secret_is_in_what_the_worker_keeps_of_alerts_that_nobody_took(
    planted: Planted, logged: io.StringIO, hook: Webhook, tmp_path: Path
) -> None:
    pilothouse = connect(load_settings())
    alerts = pilothouse.alerts
    alerts.consider(check_of("c1"), report_of({Topic.DRIFT: CRITICAL}, check_id="c1"))
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert alerts.deliver_due(later) == 0
    pilothouse.settings_watch.run()
    (delivery,) = alerts.deliveries(alerts.list()[0].id)
    assert delivery.error is not None
    assert "403" in delivery.error
    pilothouse.database.close()
    assert len(hook.arrived) == 1
    assert planted.in_text(logged.getvalue()) == []
    assert planted.below(tmp_path) == {}


def test_no_page_shows_a_secret(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = sorted(path.stem for path in (CODE_ROOT / "app" / "views").glob("[a-z]*.py"))
    assert "overview" in pages
    core = replace(make_core(production=1), settings=load_settings())
    for page in pages:
        panel = open_panel(monkeypatch, core, page)
        said = texts(panel) + repr(panel.main) + repr(panel.session_state)
        assert planted.in_text(said) == [], page


class TestParameters:
    @pytest.mark.parametrize(
        "key", ["password", "token", "secret", "api_key", "alert_url", "oidc_client_secret"]
    )
    @pytest.mark.parametrize("under", ["", "alerts", "serving", "intake"])
    def test_a_secret_has_no_place_among_them(self, tmp_path: Path, key: str, under: str) -> None:
        data = yaml.safe_load((CODE_ROOT / "params.yaml").read_text(encoding="utf-8"))
        (data[under] if under else data)[key] = "Planted-value"
        file = tmp_path / "params.yaml"
        file.write_text(yaml.safe_dump(data), encoding="utf-8")
        with pytest.raises(InvalidInputError, match=key) as refused:
            load_params(file)
        said = "".join(traceback.format_exception(refused.value))
        assert "ValidationError" in said
        assert "Planted-value" not in f"{said} {refused.value.offences}"

    def test_one_in_the_wrong_variable_is_not_in_the_trace_of_the_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PILOTHOUSE_PANEL_PORT", "Planted-value")
        with pytest.raises(SetupError, match="PILOTHOUSE_PANEL_PORT") as refused:
            load_settings()
        said = "".join(traceback.format_exception(refused.value))
        assert "ValidationError" in said
        assert "Planted-value" not in said


class TestServices:
    LAUNCH = Launch(
        Settings(home=Path("/home/x"), **SERVICE_SECRETS),
        layout_of(Path("/home/x")),
        InternalPorts(21000),
        JavaRuntime(Path("/java17"), 17, "system"),
    )

    @pytest.mark.parametrize("store_url", ["", "s3://bucket"])
    def test_a_program_sees_the_secrets_that_it_needs_and_no_other(self, store_url: str) -> None:
        settings = self.LAUNCH.settings.model_copy(update={"store_url": store_url})
        launch = replace(self.LAUNCH, settings=settings)
        programs = default_programs(launch)
        parser = configparser.RawConfigParser()
        parser.read_string(config_text(launch, programs))
        inherited = service_environment(launch, {})
        secret = settings.secret_variables()
        assert "PILOTHOUSE_ALERT_URL" in secret
        for program in programs:
            told = dict_of_key_value_pairs(parser[f"program:{program.name}"]["environment"])
            seen = {**inherited, **told}
            needed = {variable_of(name) for name in program.secrets}
            assert needed <= set(secret)
            assert {name for name in secret if name not in told} == needed
            known = set(re.findall(r"T0ken-of-(\w+)", str(seen)))
            assert known == KNOWN.get(program.name, set()) | (OF_STORE if store_url else set())

    def test_no_secret_is_in_what_is_written_for_the_manager_or_on_its_command_lines(self) -> None:
        settings = self.LAUNCH.settings.model_copy(update={"store_url": "s3://bucket"})
        programs = default_programs(replace(self.LAUNCH, settings=settings))
        assert "T0ken" not in config_text(self.LAUNCH, programs)
        assert "T0ken" not in str([program.argv for program in programs])
        assert "T0ken" not in str(in_force(self.LAUNCH.settings, load_params(_PARAMS)))

    def test_work_that_needs_no_secret_is_given_none(self) -> None:
        blank = replace(self.LAUNCH, settings=self.LAUNCH.settings.without_secrets())
        assert "T0ken" not in str(declared_environment(blank))
        assert blank.settings == self.LAUNCH.settings.model_copy(
            update=dict.fromkeys(SERVICE_SECRETS, SecretStr(""))
        )

    def test_work_may_be_given_the_one_that_it_needs(self) -> None:
        settings = self.LAUNCH.settings.without_secrets(keep=("mlflow_database_url",))
        known = str(declared_environment(replace(self.LAUNCH, settings=settings)))
        assert re.findall(r"T0ken-of-(\w+)", known) == ["mlflow"]

    def test_jobs_of_somebody_elses_cluster_keep_the_key_that_its_nodes_have(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[dict[str, str]] = []
        monkeypatch.setattr("core.bootstrap.RayCluster", lambda *given: told.append(given[2]))
        files = {f"{name}_file": "/etc/of/this/machine" for name in STORE_KEY}
        settings = self.LAUNCH.settings.model_copy(update={"store_url": "s3://bucket", **files})
        for address in ("", "http://head:8265"):
            connect_cluster(settings.model_copy(update={"ray_address": address}))
        assert told[0] == {}
        assert told[1]["PILOTHOUSE_STORE_URL"] == "s3://bucket"
        # A blank one would take the place of theirs.
        assert not {variable_of(name) for name in (*STORE_KEY, *files)} & told[1].keys()
        assert "T0ken" not in str(told)

    def test_the_token_of_whoever_starts_them_is_theirs(self) -> None:
        settings = self.LAUNCH.settings.model_copy(update={"token": SecretStr("Anna5")})
        environment = service_environment(
            replace(self.LAUNCH, settings=settings), {"PILOTHOUSE_TOKEN": "Anna5"}
        )
        assert "Anna5" not in str(environment)


def test_what_a_plug_in_of_the_sender_raises_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, logged: io.StringIO
) -> None:
    url = "json://ann:Planted-1@127.0.0.1:9/Planted-2"

    def fail(*args: object, **named: object) -> bool:
        raise ValueError(f"cannot send to {url}")

    monkeypatch.setattr("apprise.plugins.custom_json.NotifyJSON.send", fail)
    with pytest.raises(UnavailableError) as refused:
        Receivers([url], timeout_s=1).send(Message("t", "b", OK))
    logging.getLogger("own").error("trace", exc_info=refused.value)
    assert "Planted" not in str(refused.value) + logged.getvalue()


def _unforeseen() -> object:
    raise RuntimeError(f"something else, under {load_settings()!r}")


_PARAMS = CODE_ROOT / "params.yaml"
