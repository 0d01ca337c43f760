"""Keys of the served models: made, listed, revoked, handed to replicas."""

from __future__ import annotations

import logging
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from core.access import use
from core.access.key_ring import KeyRing, own_key_file
from core.access.keys import KeyService
from core.access.people import HOST
from core.access.roles import Role
from core.access.serving_key import NewKey, Scope, digest_of
from core.access.use import forget_old, key_use_folder, read_use, write_use
from core.adapters.database_keys import KeyRecords
from core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError, SetupError
from core.params_rates import RateParams
from core.promotion.audit import Action
from core.settings import load_settings
from core.worker import keep_keys
from tests.unit.core_fakes import FakeServing, World, make_world
from tests.unit.test_core_access import House

RATES = RateParams(requests_per_second=5, burst=10)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.close()


def make(world: World, name: str = "the shop", *scopes: Scope, **given: Any) -> NewKey:
    scopes = scopes or (Scope.PREDICT,)
    return world.pilothouse.keys.make("plums", name, scopes, **given, actor="ann")


def ring(world: World, **given: Any) -> KeyRing:
    settings = world.pilothouse.settings.model_copy(update=given)
    return KeyRing(settings, RATES, KeyRecords(world.pilothouse.database))


def soon(**given: float) -> datetime:
    return datetime.now(UTC) + timedelta(**given)


def test_a_key_is_shown_once_and_kept_as_a_hash(world: World) -> None:
    made = make(world, " the shop ", Scope.LABELS, Scope.PREDICT, expires_at=soon(days=1))
    prefix, key_id, secret = made.token.split("_")
    assert (prefix, key_id) == ("ph", made.key.id)
    assert len(bytes.fromhex(secret)) == 32
    assert made.token not in repr(made)
    (kept,) = world.pilothouse.keys.list("plums")
    assert kept == made.key
    assert (kept.name, kept.scopes) == ("the shop", (Scope.PREDICT, Scope.LABELS))
    assert (kept.created_by, kept.last_used_at, kept.revoked_at) == ("ann", None, None)
    files = [file for file in world.pilothouse.settings.home.rglob("*") if file.is_file()]
    assert files
    for file in files:
        assert secret.encode() not in file.read_bytes()


def test_no_two_keys_are_the_same(world: World) -> None:
    made = [make(world) for _ in range(20)]
    assert len({one.token for one in made}) == len({one.key.id for one in made}) == 20
    assert [one.id for one in world.pilothouse.keys.list()] == [
        one.key.id for one in reversed(made)
    ]
    assert world.pilothouse.keys.list("pears") == ()


def test_a_time_in_another_zone_is_the_same_moment(world: World) -> None:
    zoned = soon(hours=3).astimezone(timezone(timedelta(hours=5, minutes=30)))
    made = make(world, expires_at=zoned)
    (kept,) = world.pilothouse.keys.list()
    assert kept.expires_at == made.key.expires_at == zoned


@pytest.mark.parametrize(
    ("given", "offence"),
    [
        ({"name": "  "}, "name"),
        ({"name": "a" * 65}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "expires_at"),
        ({"expires_at": datetime(2200, 1, 1)}, "expires_at"),
        ({"requests_per_second": 0.0}, "requests_per_second"),
        ({"requests_per_second": float("nan")}, "requests_per_second"),
        ({"requests_per_second": float("inf")}, "requests_per_second"),
    ],
)
def test_what_breaks_a_rule_is_named(world: World, given: dict[str, Any], offence: str) -> None:
    values = {"name": "the shop", "scopes": [Scope.PREDICT], "expires_at": None} | given
    with pytest.raises(InvalidInputError) as refused:
        world.pilothouse.keys.make("plums", **values, actor="ann")
    assert [one.field for one in refused.value.offences] == [offence]
    assert world.pilothouse.keys.list() == ()


@pytest.mark.parametrize("problem", ["pears", "*", "", "x" * 500])
def test_a_key_is_for_a_problem_that_there_is(world: World, problem: str) -> None:
    with pytest.raises(NotFoundError, match="There is no problem called"):
        world.pilothouse.keys.make(problem, "the shop", [Scope.PREDICT], actor="ann")
    assert world.pilothouse.audit.list(1)[0].entry.outcome == "refused"


def test_keys_are_an_admins(tmp_path: Path) -> None:
    house = House(tmp_path)
    keys = KeyService(["plums"], KeyRecords(house.database), FakeServing(), tmp_path, house.trail)
    house.accounts.add("eve", Role.ADMIN, actor=HOST)
    house.accounts.add("anna", Role.APPROVER, actor="eve")
    given = ("plums", "the shop", [Scope.PREDICT])
    made = keys.make(*given, actor="eve")
    for actor in ("anna", HOST, "nobody"):
        with pytest.raises(ForbiddenError):
            keys.make(*given, actor=actor)
        with pytest.raises(ForbiddenError):
            keys.revoke(made.key.id, actor=actor)
    assert keys.list() == (made.key,)
    refused = [row[:3:2] for row in house.rows(Action.KEY_REVOKED)]
    assert refused == [(actor, "refused") for actor in ("nobody", HOST, "anna")]
    house.database.close()


def test_a_key_is_revoked_once(world: World) -> None:
    made = make(world)
    revoked = world.pilothouse.keys.revoke(made.key.id, actor="bob")
    assert revoked.revoked_by == "bob"
    assert not revoked.opens(datetime.now(UTC))
    with pytest.raises(ConflictError, match="revoked already"):
        world.pilothouse.keys.revoke(made.key.id, actor="ann")
    assert world.pilothouse.keys.list() == (revoked,)
    with pytest.raises(NotFoundError, match="There is no key"):
        world.pilothouse.keys.revoke("nothing", actor="ann")


def test_every_action_is_audited_without_the_secret(world: World) -> None:
    made = make(world)
    world.pilothouse.keys.revoke(made.key.id, actor="bob")
    with pytest.raises(ConflictError):
        world.pilothouse.keys.revoke(made.key.id, actor="ann")
    entries = [row.entry for row in reversed(world.pilothouse.audit.list(None))]
    assert [(e.action, e.outcome, e.actor, e.problem) for e in entries] == [
        ("key made", "done", "ann", "plums"),
        ("key revoked", "done", "bob", "plums"),
        ("key revoked", "refused", "ann", "plums"),
    ]
    assert {entry.object for entry in entries} == {f"key {made.key.id}"}
    assert entries[0].detail == "the shop: predict."
    assert made.token[-64:] not in repr(entries)
    assert digest_of(made.token) not in repr(entries)


def test_replicas_are_told_at_once_and_a_failure_to_tell_is_no_failure(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    made = make(world)
    assert world.serving.handed_out == 1
    world.pilothouse.keys.revoke(made.key.id, actor="ann")
    assert world.serving.handed_out == 2
    world.serving.plug.pulled = True
    made = make(world)
    assert "worker has to tell the replicas" in caplog.text
    assert made.token[-64:] not in caplog.text
    assert world.pilothouse.keys.list()[0] == made.key


# What replicas are told


def test_replicas_are_told_of_keys_that_open(world: World) -> None:
    late = make(world, "late", expires_at=soon(seconds=0.05))
    lasting = make(world, "lasting", requests_per_second=2.5, expires_at=soon(days=1))
    gone = make(world, "gone")
    world.pilothouse.keys.revoke(gone.key.id, actor="ann")
    time.sleep(0.06)
    assert not late.key.opens(datetime.now(UTC))
    told = ring(world).admission()
    (key,) = told.keys
    assert (key.id, key.sha256) == (lasting.key.id, digest_of(lasting.token))
    assert (key.problem, key.scopes) == ("plums", (Scope.PREDICT,))
    assert (key.requests_per_second, key.expires_at) == (2.5, lasting.key.expires_at)
    assert told.limits == RATES
    assert lasting.token[-64:] not in told.model_dump_json()
    assert told == ring(world).admission()


@pytest.mark.parametrize(
    ("host", "require", "required"),
    [
        ("127.0.0.1", "auto", False),
        ("::1", "auto", False),
        ("localhost", "auto", False),
        ("0.0.0.0", "auto", True),
        ("::", "auto", True),
        ("192.168.1.5", "auto", True),
        ("models.example.org", "auto", True),
        ("127.0.0.1", "yes", True),
        ("0.0.0.0", "no", False),
    ],
)
def test_keys_are_required_unless_only_this_machine_can_ask(
    world: World, host: str, require: str, required: bool
) -> None:
    assert ring(world, host=host, require_keys=require).admission().required is required


def test_a_setting_that_is_neither_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTHOUSE_REQUIRE_KEYS", "maybe")
    with pytest.raises(SetupError, match="PILOTHOUSE_REQUIRE_KEYS"):
        load_settings()


def test_the_own_key_is_one_for_all_and_for_nobody_else(world: World) -> None:
    home = world.pilothouse.settings.home
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: ring(world).own_token(), range(8)))
    (token,) = tokens
    file = own_key_file(home)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert ring(world).admission().own_sha256 == digest_of(token)
    assert world.pilothouse.keys.list() == ()
    # Another is made where it is gone, and replicas are told of it.
    file.unlink()
    assert ring(world).admission().own_sha256 != digest_of(token)


def test_an_own_key_that_is_none_is_said(world: World) -> None:
    file = own_key_file(world.pilothouse.settings.home)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    with pytest.raises(SetupError, match="holds no key"):
        ring(world).own_token()
    file.unlink()
    file.mkdir()
    with pytest.raises(SetupError, match="cannot be read"):
        ring(world).own_token()


# When keys were used


def test_the_last_use_is_the_latest_of_all_replicas_and_never_goes_back(world: World) -> None:
    keys, folder = world.pilothouse.keys, key_use_folder(world.pilothouse.settings.home)
    keys.carry_use()
    made, other = make(world), make(world)
    at_s = time.time() - 100
    write_use(folder, "r1", {made.key.id: at_s, "stranger": at_s})
    write_use(folder, "r2", {made.key.id: at_s + 7})
    keys.carry_use()

    def last() -> list[datetime | None]:
        found = {key.id: key.last_used_at for key in keys.list()}
        return [found[made.key.id], found[other.key.id]]

    latest = datetime.fromtimestamp(at_s + 7, UTC)
    assert last() == [latest, None]
    # A replica that ended, and a worker that begins anew.
    (folder / "r2.json").unlink()
    world.pilothouse.keys._carried.clear()
    keys.carry_use()
    assert last() == [latest, None]
    write_use(folder, "r1", {made.key.id: at_s + 9, other.key.id: time.time() + 3600})
    keys.carry_use()
    first, second = last()
    assert first == datetime.fromtimestamp(at_s + 9, UTC)
    assert second is not None
    assert second <= datetime.now(UTC)


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"a": "x", "b": NaN, "c": Infinity}', "\x00", "null"]
)
def test_a_note_that_is_none_is_left_out(tmp_path: Path, content: str) -> None:
    write_use(tmp_path, "r1", {"a": 5.0})
    (tmp_path / "r2.json").write_text(content)
    (tmp_path / ".r3.json").write_text('{"a": 9}')
    assert read_use(tmp_path) == {"a": 5.0}


def test_notes_of_replicas_that_ended_long_ago_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_use(tmp_path, "r1", {"a": 5.0})
    forget_old(tmp_path)
    assert read_use(tmp_path) == {"a": 5.0}
    monkeypatch.setattr(use, "KEPT_S", -1.0)
    forget_old(tmp_path)
    assert read_use(tmp_path) == {}


def test_the_worker_keeps_replicas_told_whatever_its_beats_do(world: World) -> None:
    made = make(world)
    write_use(key_use_folder(world.pilothouse.settings.home), "r1", {made.key.id: 5.0})
    before, stop = world.serving.handed_out, threading.Event()
    keeper = threading.Thread(target=keep_keys, args=(world.pilothouse, stop))
    keeper.start()
    while world.pilothouse.keys.list()[0].last_used_at is None:
        time.sleep(0.01)
    stop.set()
    keeper.join()
    assert world.serving.handed_out > before


def test_one_duty_that_fails_does_not_keep_the_other(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    made = make(world)
    write_use(key_use_folder(world.pilothouse.settings.home), "r1", {made.key.id: 5.0})
    world.serving.plug.pulled = True
    stop = threading.Event()
    keeper = threading.Thread(target=keep_keys, args=(world.pilothouse, stop))
    keeper.start()
    while world.pilothouse.keys.list()[0].last_used_at is None:
        time.sleep(0.01)
    stop.set()
    keeper.join()
    assert "hand out keys: Ray does not answer." in caplog.text
