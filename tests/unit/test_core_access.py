"""Accounts, roles and the table of rights, over a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.access.account import Account, Source
from core.access.accounts import AccountService, usable_name
from core.access.people import HOST, RESERVED, People
from core.access.rights import (
    LEAST_ROLE,
    OF_ONESELF,
    OF_THE_HOST,
    UNTIL_AN_ADMIN_IS_THERE,
    host_may,
    may,
    what_it_takes,
)
from core.access.roles import Mode, Role
from core.access.tokens import digest, mark_of, new_token
from core.adapters.database import Database
from core.adapters.database_accounts import AccountRecords
from core.bootstrap_deciding import connect_trail
from core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    SignInError,
)
from core.promotion.audit import Action, Chosen, Outcome
from core.promotion.identity import SYSTEM_ACTORS, WORKER
from core.promotion.trail import AuditTrail
from core.settings import Settings
from tests.unit.races import race
from tests.unit.stores import address_in

NOW = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
#: Rows that the system writes, or that tell how an action of people ended.
NOT_OF_PEOPLE = {
    Action.BATCH_RECOGNISED,
    Action.BATCH_REFUSED,
    Action.CANDIDATE_KEPT_OUT,
    Action.REQUEST_SUPERSEDED,
    Action.REQUEST_STALE,
    Action.DECISION_REFUSED,
    Action.PROMOTED,
    Action.BOOTSTRAPPED,
    Action.ROLLOUT_STARTED,
    Action.ROLLOUT_ADVANCED,
    Action.ROLLOUT_ENDED,
    Action.ROLLOUT_DONE,
    Action.DECISION_COMPLETED,
    Action.DECISION_UNDONE,
    Action.SERVING_REPAIRED,
    Action.ALIAS_MOVED,
    Action.SETTINGS_CHANGED,
    Action.SIGNED_IN,
}


class House:
    """An installation of accounts and nothing else."""

    def __init__(self, folder: Path, *, has_login: bool = False, is_exposed: bool = False) -> None:
        self.now = NOW
        self.database = Database(address_in(folder))
        self.database.migrate()
        self.records = AccountRecords(self.database)
        self.people = People(self.records, has_login=has_login)
        self.trail: AuditTrail = connect_trail(Settings(home=folder), self.database, self.people)
        self.accounts = AccountService(
            self.records,
            self.people,
            self.trail,
            has_login=has_login,
            is_exposed=is_exposed,
            clock=lambda: self.now,
        )

    def rows(self, action: Action) -> list[tuple[str, str, str, str]]:
        found = self.trail.list(None, Chosen(action=action))
        return [(r.entry.actor, r.entry.role, r.entry.outcome, r.entry.object) for r in found]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.database.close()


class TestTheTable:
    def test_every_action_is_either_for_people_or_of_the_system(self) -> None:
        for_people = set(LEAST_ROLE) | OF_ONESELF | OF_THE_HOST | UNTIL_AN_ADMIN_IS_THERE
        assert for_people | NOT_OF_PEOPLE == set(Action)
        assert not for_people & NOT_OF_PEOPLE

    @pytest.mark.parametrize("action", list(Action))
    def test_a_higher_role_may_whatever_a_lower_may(self, action: Action) -> None:
        allowed = [may(role, action) for role in Role]
        assert allowed == sorted(allowed)

    def test_a_viewer_changes_nothing_but_their_own_token(self) -> None:
        assert {one for one in Action if may(Role.VIEWER, one)} == OF_ONESELF

    def test_only_an_admin_manages_accounts(self) -> None:
        managing = UNTIL_AN_ADMIN_IS_THERE
        assert [role for role in Role if any(may(role, one) for one in managing)] == [Role.ADMIN]

    def test_no_role_recovers_an_admin(self) -> None:
        assert not any(may(role, Action.ADMIN_RECOVERED) for role in Role)
        assert host_may(Action.ADMIN_RECOVERED, has_admin=True)
        assert "owns the files" in what_it_takes(Action.ADMIN_RECOVERED)

    def test_the_host_decides_nothing(self) -> None:
        for action in (Action.APPROVAL_GIVEN, Action.ROLLED_BACK, Action.REQUEST_OPENED):
            assert not host_may(action, has_admin=False)

    def test_a_sentence_names_the_roles_that_are_enough(self) -> None:
        said = what_it_takes(Action.APPROVAL_GIVEN)
        assert said == "This (approval given) takes the role approver or admin"


class TestTokens:
    def test_they_are_long_and_differ(self) -> None:
        one, two = new_token(), new_token()
        assert one != two
        assert len(one) >= 43
        assert one.startswith("phu_")

    def test_neither_hash_nor_mark_gives_the_token_away(self) -> None:
        token = new_token()
        assert token not in digest(token)
        assert mark_of(digest(token)) not in digest(token)

    def test_a_new_token_does_not_show_itself(self, house: House) -> None:
        issued = house.accounts.add("anna", Role.VIEWER, actor=HOST)
        assert issued.token not in repr(issued)


class TestNames:
    @pytest.mark.parametrize("name", ["anna", "Anna", " anna ", "a.b-c_d+e@example.org", "7"])
    def test_usable(self, name: str) -> None:
        assert usable_name(name) == name.strip().casefold()

    @pytest.mark.parametrize("name", ["", "-a", "a b", "ä", "a" * 65, "a\nb", "../a", "a\0"])
    def test_not_usable(self, name: str) -> None:
        with pytest.raises(InvalidInputError):
            usable_name(name)

    @pytest.mark.parametrize("name", sorted(RESERVED))
    def test_names_of_the_system_are_nobodys(self, name: str) -> None:
        with pytest.raises(InvalidInputError):
            usable_name(name)

    @given(st.text(max_size=70))
    def test_whatever_is_usable_stays_as_it_is(self, text: str) -> None:
        try:
            name = usable_name(text)
        except InvalidInputError:
            return
        assert usable_name(name) == name


class TestModes:
    def test_nothing_configured_is_one_local_operator(self, house: House) -> None:
        assert house.accounts.mode is Mode.LOCAL
        assert not house.people.told_apart
        assert house.people.role_of("anybody") == "local operator"
        assert house.people.lacks("anybody", Action.APPROVAL_GIVEN) == ""

    def test_the_first_account_ends_that(self, house: House) -> None:
        house.accounts.add("anna", Role.APPROVER, actor="operator")
        assert house.accounts.mode is Mode.ACCOUNTS
        assert house.people.told_apart
        assert "no account" in house.people.lacks("operator", Action.RUN_STARTED)

    def test_the_last_removal_brings_it_back(self, house: House) -> None:
        house.accounts.add("anna", Role.ADMIN, actor="operator")
        house.accounts.remove("anna", actor="anna")
        assert house.accounts.mode is Mode.LOCAL

    def test_not_where_other_machines_reach_the_panel(self, tmp_path: Path) -> None:
        house = House(tmp_path, is_exposed=True)
        house.accounts.add("anna", Role.ADMIN, actor="operator")
        with pytest.raises(ConflictError, match="only admin"):
            house.accounts.remove("anna", actor="anna")

    def test_a_login_is_in_force_without_any_account(self, tmp_path: Path) -> None:
        house = House(tmp_path, has_login=True)
        assert house.accounts.mode is Mode.OIDC
        assert house.people.told_apart


class TestRights:
    @pytest.mark.parametrize("role", list(Role))
    @pytest.mark.parametrize("action", sorted(LEAST_ROLE))
    def test_a_role_is_enough_or_is_refused_and_recorded(
        self, house: House, role: Role, action: Action
    ) -> None:
        house.accounts.add("anna", role, actor=HOST)
        if may(role, action):
            house.trail.require(action, actor="anna", object="it")
            return
        with pytest.raises(ForbiddenError, match=f"takes the role .*; anna is an? {role.value}"):
            house.trail.require(action, actor="anna", object="it")
        assert house.rows(action)[0] == ("anna", role.value, Outcome.REFUSED, "it")

    def test_who_may_not_never_comes_into_the_block(self, house: House) -> None:
        house.accounts.add("vera", Role.VIEWER, actor=HOST)
        with (
            pytest.raises(ForbiddenError),
            house.trail.act(Action.RUN_STARTED, actor="vera", object="run"),
        ):
            pytest.fail("a viewer has started a run")
        assert [row[2] for row in house.rows(Action.RUN_STARTED)] == [Outcome.REFUSED]

    def test_a_removed_person_is_out_at_once(self, house: House) -> None:
        house.accounts.add("eve", Role.ADMIN, actor=HOST)
        house.accounts.add("anna", Role.OPERATOR, actor="eve")
        house.trail.require(Action.RUN_STARTED, actor="anna", object="run")
        house.accounts.remove("anna", actor="eve")
        with pytest.raises(ForbiddenError, match="anna has no account, or it was removed"):
            house.trail.require(Action.RUN_STARTED, actor="anna", object="run")

    @pytest.mark.parametrize("actor", SYSTEM_ACTORS)
    def test_what_acts_by_itself_needs_no_role(self, house: House, actor: str) -> None:
        house.accounts.add("anna", Role.ADMIN, actor=HOST)
        house.trail.require(Action.RUN_STARTED, actor=actor, object="run")
        assert house.people.role_of(actor) == "system"

    def test_the_host_manages_accounts_until_there_is_an_admin(self, house: House) -> None:
        house.accounts.add("anna", Role.APPROVER, actor="operator")
        house.accounts.add("eve", Role.ADMIN, actor=HOST)
        with pytest.raises(ForbiddenError, match="nobody has signed in"):
            house.accounts.add("mallory", Role.ADMIN, actor=HOST)
        assert house.people.role_of(HOST) == "host"


class TestFiles:
    def test_a_token_is_kept_as_its_hash_only(self, house: House, tmp_path: Path) -> None:
        issued = house.accounts.add("Anna", Role.OPERATOR, actor=HOST)
        house.database.close()
        written = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
        assert issued.token.encode() not in written
        assert digest(issued.token).encode() in written


class TestAccounts:
    def test_its_owner_is_known_by_it(self, house: House) -> None:
        issued = house.accounts.add("Anna", Role.OPERATOR, actor=HOST)
        account = house.accounts.authenticate(f" {issued.token}\n")
        assert (account.name, account.role, account.last_seen_at) == ("anna", Role.OPERATOR, NOW)

    @pytest.mark.parametrize("token", ["", "phu_", "anna", "phu_" + "A" * 43, "\ud800"])
    def test_anything_else_is_nobodys(self, house: House, token: str) -> None:
        house.accounts.add("anna", Role.OPERATOR, actor=HOST)
        with pytest.raises(SignInError):
            house.accounts.authenticate(token)

    def test_coming_to_the_panel_is_recorded_and_a_command_is_not(self, house: House) -> None:
        token = house.accounts.add("anna", Role.OPERATOR, actor=HOST).token
        house.accounts.authenticate(token)
        assert house.rows(Action.SIGNED_IN) == []
        assert house.accounts.sign_in(token).name == "anna"
        assert house.rows(Action.SIGNED_IN) == [("anna", "operator", "done", "account anna")]
        with pytest.raises(SignInError):
            house.accounts.sign_in("phu_other")
        assert len(house.rows(Action.SIGNED_IN)) == 1

    def test_a_new_token_ends_the_one_before(self, house: House) -> None:
        first = house.accounts.add("anna", Role.OPERATOR, actor=HOST)
        mark = house.accounts.token_mark("anna")
        second = house.accounts.issue_token("anna", actor="anna")
        with pytest.raises(SignInError):
            house.accounts.authenticate(first.token)
        assert house.accounts.authenticate(second.token).name == "anna"
        assert house.accounts.token_mark("anna") not in ("", mark)

    def test_a_removed_account_has_no_token_and_keeps_its_name(self, house: House) -> None:
        issued = house.accounts.add("anna", Role.OPERATOR, actor=HOST)
        house.accounts.remove("anna", actor=HOST)
        with pytest.raises(SignInError):
            house.accounts.authenticate(issued.token)
        assert house.accounts.token_mark("anna") == ""
        (kept,) = house.accounts.list()
        assert kept.removed_at == NOW
        again = house.accounts.add("anna", Role.VIEWER, actor="operator")
        assert house.accounts.authenticate(again.token).role is Role.VIEWER

    def test_a_name_is_one_persons(self, house: House) -> None:
        house.accounts.add("anna", Role.OPERATOR, actor=HOST)
        with pytest.raises(ConflictError):
            house.accounts.add("ANNA", Role.ADMIN, actor=HOST)
        assert [row[2] for row in house.rows(Action.ACCOUNT_ADDED)] == ["refused", "done"]

    def test_the_only_admin_of_others_stays(self, house: House) -> None:
        house.accounts.add("eve", Role.ADMIN, actor=HOST)
        house.accounts.add("anna", Role.VIEWER, actor="eve")
        with pytest.raises(ConflictError, match="only admin"):
            house.accounts.remove("eve", actor="eve")
        with pytest.raises(ConflictError, match="only admin"):
            house.accounts.change_role("eve", Role.OPERATOR, actor="eve")
        house.accounts.change_role("anna", Role.ADMIN, actor="eve")
        house.accounts.remove("eve", actor="anna")

    def test_two_admins_who_remove_each_other_at_once_leave_one(
        self, house: House, tmp_path: Path
    ) -> None:
        house.accounts.add("eve", Role.ADMIN, actor=HOST)
        house.accounts.add("anna", Role.ADMIN, actor="eve")
        house.accounts.add("carl", Role.VIEWER, actor="eve")
        both = ("eve", "anna")

        def act(database: Database, index: int) -> None:
            other = House(tmp_path)
            try:
                other.accounts.remove(both[1 - index], actor=both[index])
            except ForbiddenError as exc:  # the other one has been faster by far
                raise ConflictError(exc.message) from exc
            finally:
                other.database.close()

        fared = race(address_in(tmp_path), act)
        assert sorted(fared) == ["ConflictError", "done"]
        left = [one.role for one in house.accounts.list() if one.is_active]
        assert sorted(left) == [Role.ADMIN, Role.VIEWER]

    def test_being_seen_meanwhile_makes_nobody_somebody_else(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.accounts.add("eve", Role.ADMIN, actor=HOST)
        house.accounts.add("anna", Role.VIEWER, actor="eve")
        really = house.records.active

        def and_is_seen(name: str) -> Account | None:
            found = really(name)
            if found is not None:
                house.now += timedelta(minutes=1)
                house.records.note_seen(found, house.now)
            return found

        monkeypatch.setattr(house.records, "active", and_is_seen)
        with pytest.raises(ConflictError, match="only admin"):
            house.accounts.remove("eve", actor="eve")

    def test_what_is_not_there_is_not_found(self, house: House) -> None:
        for act in (
            lambda: house.accounts.remove("anna", actor="operator"),
            lambda: house.accounts.issue_token("anna", actor="operator"),
            lambda: house.accounts.change_role("anna", Role.ADMIN, actor="operator"),
        ):
            with pytest.raises(NotFoundError):
                act()

    def test_an_admin_who_lost_the_token_comes_in_again(self, house: House) -> None:
        house.accounts.add("eve", Role.ADMIN, actor=HOST)
        house.accounts.add("anna", Role.OPERATOR, actor="eve")
        issued = house.accounts.recover("eve", actor=HOST)
        assert house.accounts.authenticate(issued.token).name == "eve"
        assert house.rows(Action.ADMIN_RECOVERED) == [(HOST, "host", "done", "account eve")]
        with pytest.raises(ConflictError, match="no admin"):
            house.accounts.recover("anna", actor=HOST)
        with pytest.raises(ForbiddenError):
            house.accounts.recover("eve", actor="anna")

    def test_being_seen_is_written_once_a_minute(self, house: House) -> None:
        token = house.accounts.add("anna", Role.OPERATOR, actor=HOST).token
        house.accounts.authenticate(token)
        house.now += timedelta(seconds=59)
        assert house.accounts.authenticate(token).last_seen_at == NOW
        house.now += timedelta(seconds=1)
        assert house.accounts.authenticate(token).last_seen_at == house.now


class TestWhoKnowsAToken:
    def test_whoever_issued_it_until_it_is_renewed(self, house: House) -> None:
        house.accounts.add("eve", Role.ADMIN, actor=HOST)
        house.accounts.add("bert", Role.APPROVER, actor="eve")
        assert house.people.token_known_to("bert") == "eve"
        house.accounts.issue_token("bert", actor="bert")
        assert house.people.token_known_to("bert") == ""

    def test_nobody_where_nobody_signs_in(self, house: House) -> None:
        assert house.people.token_known_to(WORKER) == ""
        assert house.people.token_known_to("operator") == ""


class TestLogins:
    def test_somebody_new_is_recorded_with_the_role_of_the_login(self, tmp_path: Path) -> None:
        house = House(tmp_path, has_login=True)
        account = house.accounts.seen_by_login("Anna@Example.org", Role.OPERATOR)
        assert (account.name, account.source) == ("anna@example.org", Source.LOGIN)
        assert house.people.role_of("anna@example.org") == "operator"
        assert house.rows(Action.SIGNED_IN)[0][:2] == ("anna@example.org", "operator")

    def test_another_role_of_the_login_counts_at_once(self, tmp_path: Path) -> None:
        house = House(tmp_path, has_login=True)
        house.accounts.seen_by_login("anna", Role.APPROVER)
        house.accounts.seen_by_login("anna", Role.VIEWER)
        assert house.people.lacks("anna", Action.APPROVAL_GIVEN)
        house.accounts.seen_by_login("anna", Role.VIEWER)
        assert len(house.rows(Action.SIGNED_IN)) == 2

    def test_whom_an_admin_removed_stays_out(self, tmp_path: Path) -> None:
        house = House(tmp_path, has_login=True)
        house.accounts.seen_by_login("eve", Role.ADMIN)
        house.accounts.seen_by_login("anna", Role.OPERATOR)
        house.accounts.remove("anna", actor="eve")
        with pytest.raises(SignInError, match="was removed"):
            house.accounts.seen_by_login("anna", Role.OPERATOR)

    def test_its_role_is_not_changed_here(self, tmp_path: Path) -> None:
        house = House(tmp_path, has_login=True)
        house.accounts.seen_by_login("eve", Role.ADMIN)
        house.accounts.seen_by_login("anna", Role.OPERATOR)
        with pytest.raises(ConflictError, match="role by login"):
            house.accounts.change_role("anna", Role.ADMIN, actor="eve")

    @pytest.mark.parametrize("name", ["worker", "host", "", "a b"])
    def test_a_login_gives_no_name_of_the_system(self, tmp_path: Path, name: str) -> None:
        house = House(tmp_path, has_login=True)
        with pytest.raises(InvalidInputError):
            house.accounts.seen_by_login(name, Role.ADMIN)
