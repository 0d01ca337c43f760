"""Everybody tries everything: the rights that hold are those of the table, everywhere.

Here the command line and the services behind it. ``test_rights_walk_panel.py`` walks the
panel's pages, ``test_rights_walk_http.py`` the addresses of the served models and the panel.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core import cli, cli_session, cli_simulate
from core.access.people import HOST
from core.access.rights import IN_WORDS, LEAST_ROLE, OF_ONESELF
from core.access.roles import Role
from core.access.serving_key import Scope
from core.bootstrap import Pilothouse
from core.errors import ForbiddenError, SignInError
from core.promotion.audit import Action, Outcome
from core.settings import Settings
from tests.command_line import every_command
from tests.unit.core_fakes import World, make_world
from tests.unit.rights_table import (
    COMMANDS,
    DOCUMENT,
    LADDER,
    LEAST,
    Door,
    Visit,
    is_allowed,
)

WHY = "because it is so"
#: Nobody of the table's roles.
REMOVED = "mallory"


@dataclass(frozen=True)
class Walk:
    """An installation in which everybody has an account, and who walks through it."""

    world: World
    role: Role | None
    token: str
    file: Path

    @property
    def name(self) -> str:
        return f"the-{self.role.value}" if self.role else HOST

    def refusals(self) -> int:
        return len(self._refused())

    def last_refusal(self) -> tuple[str, str]:
        entry = self._refused()[0].entry
        return entry.action, entry.actor

    def _refused(self) -> tuple[Any, ...]:
        rows = self.world.pilothouse.audit.list(None)
        return tuple(row for row in rows if row.entry.outcome == Outcome.REFUSED)


def _install(folder: Path) -> tuple[World, Mapping[Role, str]]:
    world = make_world(folder)
    accounts = world.pilothouse.accounts
    accounts.add("eve", Role.ADMIN, actor="operator")
    tokens = {role: accounts.add(f"the-{role.value}", role, actor="eve").token for role in Role}
    accounts.add(REMOVED, Role.ADMIN, actor="eve")
    accounts.remove(REMOVED, actor="eve")
    return world, tokens


@pytest.fixture(scope="module", params=[None, *Role], ids=["nobody", *LADDER])
def walk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Walk]:
    """A world for each role, in which what it may do is really done."""
    folder = tmp_path_factory.mktemp("walk")
    world, tokens = _install(folder)
    file = folder / "given.csv"
    file.write_text("nothing,of,use\n")
    yield Walk(world, request.param, tokens.get(request.param, ""), file)
    world.close()


class TestTheTable:
    def test_it_is_the_one_in_force(self) -> None:
        in_force = {**LEAST_ROLE, **dict.fromkeys(OF_ONESELF, Role.VIEWER)}
        assert in_force == LEAST

    def test_every_action_is_said_in_words_once(self) -> None:
        said = [action for actions in IN_WORDS.values() for action in actions]
        assert sorted(said) == sorted(LEAST)
        for doing, actions in IN_WORDS.items():
            assert len({LEAST[action] for action in actions}) == 1, doing

    def test_it_is_the_one_of_the_document(self) -> None:
        written = dict(_table_of(DOCUMENT))
        expected = {"read everything": Role.VIEWER}
        for doing, actions in IN_WORDS.items():
            (expected[doing],) = {LEAST[action] for action in actions}
        assert written == expected


def _table_of(document: Path) -> Iterator[tuple[str, Role]]:
    """What the document says: a thing that people do, and the least role that it ticks."""
    section = document.read_text(encoding="utf-8").split("## Roles and rights")[1]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if len(cells) == 1 + len(LADDER) and set(cells[1:]) <= {"✓", "–"} and "✓" in cells:
            ticks = [cell == "✓" for cell in cells[1:]]
            assert ticks == sorted(ticks), f"{cells[0]}: a higher role may less"
            yield cells[0], LADDER[ticks.index(True)]


def _in_order() -> list[Visit]:
    """Every visit; a new token, which ends the one that is walked with, comes last."""
    visits = [visit for visits in COMMANDS.values() for visit in visits]
    return sorted(visits, key=lambda visit: visit.needs is Action.TOKEN_RENEWED)


class TestCommands:
    def test_every_command_is_in_the_table(self) -> None:
        assert every_command() == set(COMMANDS)

    @pytest.mark.parametrize(
        "visit",
        [
            pytest.param(visit, id=visit.words)
            for visit in _in_order()
            if visit.needs is not Door.MACHINE
        ],
    )
    def test_it_is_done_or_refused(
        self, walk: Walk, visit: Visit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _be(walk, monkeypatch)
        before = walk.refusals()
        words = visit.words.format(file=walk.file, me=walk.name).split()
        done = CliRunner().invoke(cli.app, words)
        assert done.exit_code != 2, done.output
        refused = isinstance(done.exception, ForbiddenError | SignInError)
        assert refused is not is_allowed(walk.role, visit.needs), done.exception or done.output
        if isinstance(done.exception, ForbiddenError):
            assert walk.refusals() == before + 1
            assert walk.last_refusal() == (visit.recorded_as, walk.name)
        elif refused:
            # Nobody is named: there is nobody to record.
            assert walk.refusals() == before


def _be(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets commands run in this world, under this role's token."""
    home = walk.world.pilothouse.settings.home

    def connect(settings: Settings | None = None) -> Pilothouse:
        return replace(walk.world.pilothouse, settings=settings or Settings(home=home))

    monkeypatch.setenv("PILOTHOUSE_HOME", str(home))
    monkeypatch.setenv("PILOTHOUSE_TOKEN", walk.token)
    monkeypatch.delenv("PILOTHOUSE_TOKEN_FILE", raising=False)
    monkeypatch.setattr(cli_session, "connect", connect)
    monkeypatch.setattr(cli_simulate, "connect", connect)
    monkeypatch.setattr(cli_simulate, "ensure_model", lambda *_, **__: None)
    # A check that may start is not waited for: nobody works here.
    monkeypatch.setattr("core.cli_drift._follow", lambda _, check: check)


Call = Callable[[Pilothouse, str], object]
#: Public method of a service that is told who acts -> how it is called, and what it takes;
#: ``None`` for what only tells.
SERVICES: Mapping[str, tuple[Call, Action | None]] = {
    "runs.start": (
        lambda p, actor: p.runs.start("plums", profile=None, overrides={}, actor=actor),
        Action.RUN_STARTED,
    ),
    "runs.require_starter": (
        lambda p, actor: p.runs.require_starter(actor, "plums"),
        Action.RUN_STARTED,
    ),
    "runs.cancel": (lambda p, actor: p.runs.cancel("none", actor=actor), Action.RUN_CANCELLED),
    "sweeps.start": (
        lambda p, actor: p.sweeps.start(
            "plums", profiles=("1c-1g",), families=("lr",), repeat=1, overrides={}, actor=actor
        ),
        Action.SWEEP_STARTED,
    ),
    "sweeps.cancel": (
        lambda p, actor: p.sweeps.cancel("none", actor=actor),
        Action.SWEEP_CANCELLED,
    ),
    "monitoring.start": (
        lambda p, actor: p.monitoring.start("plums", batch_id="none", actor=actor),
        Action.CHECK_STARTED,
    ),
    "monitoring.cancel": (
        lambda p, actor: p.monitoring.cancel("none", actor=actor),
        Action.CHECK_CANCELLED,
    ),
    "retraining.retrain": (
        lambda p, actor: p.retraining.retrain("plums", datetime.now(UTC), asked_by=actor),
        Action.RUN_STARTED,
    ),
    "batches.add": (
        lambda p, actor: p.batches.add("plums", Path("none"), name="none", actor=actor),
        Action.BATCH_ACCEPTED,
    ),
    "labels.add": (
        lambda p, actor: p.labels.add("plums", Path("none"), actor=actor),
        Action.LABELS_ADDED,
    ),
    "alerts.acknowledge": (
        lambda p, actor: p.alerts.acknowledge("none", note="seen", actor=actor),
        Action.ALERT_ACKNOWLEDGED,
    ),
    "alerts.send_trial": (
        lambda p, actor: p.alerts.send_trial(actor=actor),
        Action.TRIAL_ALERT_SENT,
    ),
    "promotions.request": (
        lambda p, actor: p.promotions.request("plums", 1, actor=actor, reason=WHY),
        Action.REQUEST_OPENED,
    ),
    "promotions.approve": (
        lambda p, actor: p.promotions.approve("none", reason=WHY, actor=actor),
        Action.APPROVAL_GIVEN,
    ),
    "promotions.reject": (
        lambda p, actor: p.promotions.reject("none", reason=WHY, actor=actor),
        Action.REQUEST_REJECTED,
    ),
    "promotions.rollback": (
        lambda p, actor: p.promotions.rollback("plums", reason=WHY, actor=actor),
        Action.ROLLED_BACK,
    ),
    "promotions.restore_alias": (
        lambda p, actor: p.promotions.restore_alias("plums", actor=actor, reason=WHY),
        Action.ALIAS_RESTORED,
    ),
    "rollouts.start_shadow": (
        lambda p, actor: p.rollouts.start_shadow("plums", 1, actor=actor, reason=WHY),
        Action.SHADOW_STARTED,
    ),
    "rollouts.hold": (
        lambda p, actor: p.rollouts.hold("plums", actor=actor, reason=WHY),
        Action.ROLLOUT_HELD,
    ),
    "rollouts.resume": (
        lambda p, actor: p.rollouts.resume("plums", actor=actor, reason=WHY),
        Action.ROLLOUT_CONTINUED,
    ),
    "rollouts.stop": (
        lambda p, actor: p.rollouts.stop("plums", actor=actor, reason=WHY),
        Action.ROLLOUT_STOPPED,
    ),
    "promotions.objection": (lambda p, actor: None, None),
    "audit.reanchor": (
        lambda p, actor: p.audit.reanchor(actor=actor, reason=WHY),
        Action.TRAIL_ANCHORED,
    ),
    "audit.require": (
        lambda p, actor: p.audit.require(Action.KEY_MADE, actor=actor, object="it"),
        Action.KEY_MADE,
    ),
    "audit.act": (
        lambda p, actor: p.audit.act(Action.KEY_MADE, actor=actor, object="it").__enter__(),
        Action.KEY_MADE,
    ),
    "accounts.add": (
        lambda p, actor: p.accounts.add("new", Role.VIEWER, actor=actor),
        Action.ACCOUNT_ADDED,
    ),
    "accounts.change_role": (
        lambda p, actor: p.accounts.change_role("none", Role.ADMIN, actor=actor),
        Action.ROLE_CHANGED,
    ),
    "accounts.remove": (
        lambda p, actor: p.accounts.remove("none", actor=actor),
        Action.ACCOUNT_REMOVED,
    ),
    "accounts.issue_token": (
        lambda p, actor: p.accounts.issue_token("none", actor=actor),
        Action.TOKEN_ISSUED,
    ),
    # No role is enough: it is for whoever owns the files.
    "accounts.recover": (
        lambda p, actor: p.accounts.recover("eve", actor=actor),
        Action.ADMIN_RECOVERED,
    ),
    "accounts.role_of": (lambda p, actor: None, None),
    "accounts.standing": (lambda p, actor: None, None),
    "keys.make": (
        lambda p, actor: p.keys.make("plums", "shop", [Scope.PREDICT], actor=actor),
        Action.KEY_MADE,
    ),
    "keys.revoke": (lambda p, actor: p.keys.revoke("none", actor=actor), Action.KEY_REVOKED),
}


class TestServices:
    def test_every_method_that_is_told_who_acts_is_in_the_table(self, walk: Walk) -> None:
        assert set(_told_who_acts(walk.world.pilothouse)) == set(SERVICES)

    @pytest.mark.parametrize("method", [name for name, (_, action) in SERVICES.items() if action])
    def test_it_is_done_or_refused(self, walk: Walk, method: str) -> None:
        call, action = SERVICES[method]
        assert action is not None
        least = LEAST.get(action)
        may = least is not None and walk.role is not None and is_allowed(walk.role, action)
        actor = walk.name if walk.role else REMOVED
        assert _is_refused(lambda: call(walk.world.pilothouse, actor)) is not may
        if not may:
            assert walk.last_refusal()[1] == actor


def _is_refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except ForbiddenError:
        return True
    except Exception:  # noqa: BLE001 - whatever else it says, it was let in
        return False
    return False


def _told_who_acts(pilothouse: Pilothouse) -> Iterator[str]:
    for one in fields(pilothouse):
        service = getattr(pilothouse, one.name)
        for name, method in inspect.getmembers(type(service), inspect.isfunction):
            told = {"actor", "asked_by"} & set(inspect.signature(method).parameters)
            if told and not name.startswith("_"):
                yield f"{one.name}.{name}"
