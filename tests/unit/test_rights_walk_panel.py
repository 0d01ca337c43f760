"""Everybody opens every page: who may not press a button sees it disabled, and why."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import ModuleType

import pytest
import streamlit as st

from app.access import visitor as visiting
from app.access.sessions import Sessions
from app.components import navigation, rights
from core.access.roles import Role
from core.access.serving_key import Scope
from core.bootstrap import Pilothouse
from core.monitoring.verdict import Topic
from core.promotion.audit import Action
from core.settings import CODE_ROOT
from tests.unit.alert_values import CRITICAL, check_of, report_of
from tests.unit.app_fakes import AppTest, FakeHealth, open_panel, services, texts
from tests.unit.core_fakes import World, make_world
from tests.unit.rights_table import BUTTONS, LADDER, LEAST, Door, Needs, is_allowed

APP = CODE_ROOT / "app"
DRAWS = {"button", "form_submit_button", "download_button", "popover", "menu_button"}
REASON = "Better in every slice."
#: A page, and what its address says besides.
PAGES: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("overview", {}),
    ("data", {}),
    ("train", {}),
    ("experiments", {}),
    ("resources", {}),
    ("drift", {}),
    ("approvals", {}),
    ("approvals", {"view": navigation.HISTORY_VIEW}),
    ("serving", {}),
    ("trace", {}),
    ("audit", {}),
    ("access", {"person": "ann", "key": "KEY"}),
)
#: Dialogs of Access, as the session keeps which is open.
DIALOGS = (
    ("people-dialog", ("add", "")),
    ("people-dialog", ("role", "ann")),
    ("people-dialog", ("token", "ann")),
    ("people-dialog", ("remove", "ann")),
    ("key-dialog", "make"),
    ("key-dialog", "KEY"),
)


@dataclass
class Installed:
    """An installation in which something waits on every page, and who opens it."""

    pilothouse: Pilothouse
    world: World
    key_id: str
    sessions: Sessions = field(
        default_factory=lambda: Sessions(b"k" * 32, longest_s=3600.0, cookie="session")
    )

    def as_module(self) -> ModuleType:
        module = ModuleType("core.bootstrap")
        vars(module)["connect"] = lambda: self.pilothouse
        return module

    def open(
        self, monkeypatch: pytest.MonkeyPatch, role: Role | None, page: str, **query: str
    ) -> AppTest:
        """Opens a page as somebody who has signed in under a role, or as nobody."""
        brought = {}
        if role is not None:
            name = f"the-{role.value}"
            mark = self.pilothouse.accounts.token_mark(name)
            brought = {self.sessions.cookie: self.sessions.begin(name, mark)}
        monkeypatch.setattr(visiting, "sessions", lambda: self.sessions)
        monkeypatch.setattr(type(st.context), "cookies", property(lambda _: brought))
        told = {name: value.replace("KEY", self.key_id) for name, value in query.items()}
        panel = open_panel(monkeypatch, self, page, **told)
        assert not panel.exception
        return panel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    world = make_world(tmp_path_factory.mktemp("panel"))
    pilothouse = world.pilothouse
    accounts, promotions = pilothouse.accounts, pilothouse.promotions
    accounts.add("eve", Role.ADMIN, actor="operator")
    for role in Role:
        accounts.add(f"the-{role.value}", role, actor="eve")
    accounts.add("ann", Role.OPERATOR, actor="eve")
    world.put_into_production()
    promotions.consider(world.train(0.95))
    (waiting,) = promotions.requests(open_only=True)
    promotions.approve(waiting.id, reason=REASON, actor="the-approver")
    promotions.consider(world.train(0.99))
    world.registry.set_alias("plums", "production", 1)
    pilothouse.alerts.consider(check_of(), report_of({Topic.DRIFT: CRITICAL}))
    world.add_batch("b1")
    pilothouse.monitoring.start("plums", batch_id="b1", actor="ann")
    world.start()
    pilothouse.sweeps.start(
        "plums", profiles=("1c-1g",), families=("lr",), repeat=1, overrides={}, actor="ann"
    )
    made = pilothouse.keys.make("plums", "the shop", [Scope.PREDICT], actor="eve")
    shown = replace(pilothouse, health=FakeHealth(services()))
    yield Installed(shown, world, made.key.id)
    world.close()


class TestTheCode:
    def test_every_button_is_in_the_table(self) -> None:
        assert {(where, label) for where, label, _ in _drawn()} == set(BUTTONS)

    def test_what_the_code_asks_for_is_what_the_table_says(self) -> None:
        for where, label, action in _drawn():
            needs = BUTTONS[where, label]
            if action:
                assert Action[action] is needs, (where, label)


@cache
def _drawn() -> tuple[tuple[str, str, str], ...]:
    """Where the panel draws a button, its label, and the action it names on the spot."""
    found = []
    for file in sorted(APP.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in DRAWS
            ):
                where = file.relative_to(APP).as_posix()
                found.append((where, _label(node.args[0]), _action(node)))
    return tuple(found)


def _label(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.JoinedStr), "a label is written where its button is drawn"
    return "".join(str(p.value) if isinstance(p, ast.Constant) else "…" for p in node.values)


def _action(call: ast.Call) -> str:
    named = re.search(r"rights\.needs\(Action\.(\w+)", ast.unparse(call))
    return named[1] if named else ""


class TestPages:
    @pytest.mark.parametrize("page", sorted({page for page, _ in PAGES}))
    def test_nobody_sees_nothing(
        self, installed: Installed, monkeypatch: pytest.MonkeyPatch, page: str
    ) -> None:
        panel = installed.open(monkeypatch, None, page)
        assert texts(panel).strip() == "You are signed out. The sign-in page comes at once."
        assert [*panel.button, *panel.dataframe, *panel.sidebar.caption] == []

    @pytest.mark.parametrize("role", LADDER)
    def test_buttons_follow_the_table(
        self, installed: Installed, monkeypatch: pytest.MonkeyPatch, role: Role
    ) -> None:
        seen = set()
        for page, query in PAGES:
            panel = installed.open(monkeypatch, role, page, **query)
            seen |= _check(panel, role)
        for key, what in DIALOGS:
            panel = installed.open(monkeypatch, role, "access")
            panel.session_state[key] = installed.key_id if what == "KEY" else what
            seen |= _check(panel.run(), role)
        acting = {label for (_, label), needs in BUTTONS.items() if _is_seen(role, label, needs)}
        assert acting <= seen

    @pytest.mark.parametrize(
        ("label", "role", "page", "says"),
        [
            ("Start the run", Role.OPERATOR, "train", "takes the role operator"),
            ("Reject v3", Role.APPROVER, "approvals", "takes the role approver"),
            ("Restore the aliases", Role.APPROVER, "serving", "takes the role approver"),
        ],
    )
    def test_what_is_refused_after_the_page_was_drawn_is_said_calmly(
        self,
        installed: Installed,
        monkeypatch: pytest.MonkeyPatch,
        label: str,
        role: Role,
        page: str,
        says: str,
    ) -> None:
        accounts, name = installed.pilothouse.accounts, f"the-{role.value}"
        panel = installed.open(monkeypatch, role, page)
        for area in panel.text_area:
            area.set_value(REASON)
        accounts.change_role(name, Role.VIEWER, actor="eve")
        # The role changes at the last moment: what was read for the page still says yes.
        monkeypatch.setattr(rights, "read", lambda core: None)
        try:
            next(one for one in panel.button if one.label == label).click().run()
        finally:
            accounts.change_role(name, role, actor="eve")
        assert any(says in one.value for one in panel.warning)
        assert not panel.exception
        assert not panel.error


def _check(panel: AppTest, role: Role) -> set[str]:
    """Holds every button that is drawn against the table; returns their labels there."""
    seen = set()
    for button in panel.button:
        label, needs = _find(button.label)
        refusal = "takes the role" in (button.help or "")
        assert refusal is not is_allowed(role, needs), (button.label, button.help)
        assert button.disabled or not refusal
        if refusal:
            assert isinstance(needs, Action)
            assert f"the-{role.value} is a" in button.help
            assert LEAST[needs].value in button.help
        seen.add(label)
    return seen


def _find(label: str) -> tuple[str, Needs]:
    """The row of the table that a button on the screen belongs to."""
    fitting = {
        (written, needs)
        for (_, written), needs in BUTTONS.items()
        if re.fullmatch(re.escape(written).replace("…", ".+"), label)
    }
    exact = [row for row in fitting if row[0] == label]
    (row,) = exact or fitting
    return row


def _is_seen(role: Role, label: str, needs: Needs) -> bool:
    """Whether a button of an action is on some page of the walk."""
    # Popovers are no buttons to Streamlit's tests; tokens of logins and renewals come elsewhere,
    # and so does what steers a rollout: see TestSteering in test_app_rollout.py.
    elsewhere = {"I have seen it", "Cancel this …", "Token for the command line", "Renew"}
    elsewhere |= {"Hold v…", "Go on with v…", "Abort, back to v…", "Stop v…"}
    if label in elsewhere or isinstance(needs, Door):
        return False
    # The part of Access for admins is not drawn for others at all.
    return is_allowed(role, needs) or LEAST[needs] is not Role.ADMIN
